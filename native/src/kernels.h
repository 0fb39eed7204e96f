// What an instruction set offers: the passes over a row that take nearly all the time. Everything else is shared.
//
// Activations are int16 and lie in planes of pairs: channels 2p and 2p + 1 of a pixel beside each other, then those of
// the next pixel; a row of a layer is one such plane after another. A vector load gives the same pair of several
// neighbouring pixels; multiplying it by a broadcast pair of weights and adding the two products is one instruction on
// x86. With an unshuffle factor of 2 a plane is a row of the picture, so pixel_unshuffle and pixel_shuffle cost
// nothing.
//
// Two rows of a layer are made at once, with two thirds of the multiplications they take one by one (Winograd's
// F(2, 3), arXiv 1509.09308, down the columns). For a column (g0, g1, g2) of a kernel and the rows a, b, c, d of its
// input, of which the first row sees a, b, c and the second b, c, d:
//
//     sum      = (g0 + g1 + g2) * (b + c)        2 * first  = sum + difference + 2 * g0 * (a - c)
//     difference = (g0 - g1 + g2) * (c - b)      2 * second = sum - difference - 2 * g2 * (b - d)
//
// All of it in integers, so the results are those of the plain convolution, bit for bit: activations and weights are
// bounded such that every operand fits in int16, and twice every result in int32 (docs/engine.md); what is summed in
// between may wrap around.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#define ACUTANCE_X86
#elif defined(__aarch64__) || defined(_M_ARM64)
#define ACUTANCE_ARM64
#elif defined(__wasm_simd128__)
#define ACUTANCE_WASM
#endif

namespace acutance {

inline constexpr int kActivationLimit = 16384;  // activations are smaller than this in size (docs/engine.md)
inline constexpr int kGroup = 4;  // outputs computed together; layers are padded to a multiple with weights of zero

// The products of the formulas above, in the order in which they are summed.
enum Product { kSum, kDifference, kFirst, kSecond, kProducts };

// A layer as the kernels read it. What it computes before the shift is twice the layer's sums.
struct PackedLayer {
    int pairs;   // of inputs
    int groups;  // of outputs
    int shift;
    bool activated;          // the last layer has no PReLU
    const int16_t* weights;  // [group][kProducts][pair][3 columns][kGroup][2]
    const int32_t* bias;     // [group * kGroup], twice the layer's
    const int16_t* slope;    // [group][kGroup / 2][8]: of an even output four times, of the odd one four times
};

// Pixels [begin, end) of two neighbouring rows of one layer, counted from where the planes begin. Pixels begin - 1 and
// end are read, and up to Kernels::overrun pixels past the end are read and written.
struct ConvRows {
    const int16_t* source[4];  // the row above, the two rows, the row below
    ptrdiff_t source_plane;    // int16s from plane to plane
    int16_t* target[2];
    ptrdiff_t target_plane;
    int16_t* scratch;  // Kernels::scratch_of_pair int16s for each pair of inputs, at a multiple of 64 bytes
    int begin, end;
};

// How codes become activations and residuals become codes (docs/engine.md).
struct Samples {
    int bits;
    int top;  // the largest code
    bool full_range;
    int range_gain;  // g
    int gain;        // m
    int gain_shift;  // k
};

inline constexpr int kSumBits = 30;  // of weights and samples together, in an enlargement

// A row of an enlarged picture, from pixel to pixel with `phases` samples in each (docs/engine.md, "Enlargement").
struct EnlargedRow {
    const void* rows[4];       // of the input, as wide as the output: [phase][pixel]
    ptrdiff_t plane;           // samples from phase to phase
    int32_t weights[4];        // of the rows
    const int16_t* residual;   // of the first pixel's first pair of channels, or nullptr
    ptrdiff_t residual_plane;  // int16s from pair to pair
    int first_channel;         // the residual of phase 0
    int phases;                // 2 to kMaxPhases
};

inline constexpr int kMaxPhases = 8;

struct Kernels {
    const char* name;
    int overrun;
    int scratch_of_pair;
    void (*conv)(const PackedLayer&, const ConvRows&);
    // Codes to int16 activations, one picture row.
    void (*load8)(const Samples&, const uint8_t* codes, int16_t* out, int count);
    void (*load16)(const Samples&, const uint16_t* codes, int16_t* out, int count);
    // Codes plus residual to codes, one picture row.
    void (*emit8)(const Samples&, const uint8_t* codes, const int16_t* residual, uint8_t* out, int count);
    void (*emit16)(const Samples&, const uint16_t* codes, const int16_t* residual, uint16_t* out, int count);
    // Makes one phase of a row as wide as the output: out[i] of the four codes from i * step on, with these weights.
    void (*widen8)(const Samples&, const uint8_t* codes, int step, const int32_t* weights, uint8_t* out, int count);
    void (*widen16)(const Samples&, const uint16_t* codes, int step, const int32_t* weights, uint16_t* out, int count);
    // Makes `count` samples of an enlarged row, plus the residual.
    void (*enlarge8)(const Samples&, const EnlargedRow&, uint8_t* out, int count);
    void (*enlarge16)(const Samples&, const EnlargedRow&, uint16_t* out, int count);
    // Raises largest[i] to |4c - left - right - above - below| of pixel i of a row; here[-1] and here[count] are read.
    void (*activity8)(const uint8_t* above, const uint8_t* here, const uint8_t* below, int16_t* largest, int count);
    void (*activity16)(int top, const uint16_t* above, const uint16_t* here, const uint16_t* below, int32_t* largest,
                       int count);
    // Multiply-accumulates done by `rounds` rounds of nothing but the instruction the convolutions live on.
    uint64_t (*peak)(uint64_t rounds);
};

// Each in its file; dispatch.cpp picks.
extern const Kernels kPortable, kAvx2, kAvxVnni, kAvx512, kAvx512Vnni, kNeon, kWasm;

}  // namespace acutance
