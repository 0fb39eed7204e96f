// clang-format off
// The kernels, once, for any instruction set. Included by one file per set, which first defines, in its own unnamed namespace:
//
//   struct Isa {
//       static constexpr int lanes;    // pixels in a vector
//       static constexpr int vectors;  // of pixels computed together: kGroup * vectors sums stay in registers
//       using Pairs, Weights, Sums;    // a vector of pixels' pairs; one broadcast pair of weights; a vector of int32 sums
//       static Pairs load(const int16_t*);
//       static Weights broadcast(const int16_t*);
//       static Sums splat(int32_t);
//       static Sums multiply_add(Sums, Pairs, Weights);
//       // Shift, saturate, PReLU (of an even and an odd output: two slopes), interleave, store; and without the PReLU.
//       static void finish(Sums even, Sums odd, int shift, const int16_t* slope, int16_t* out);
//       static void finish(Sums even, Sums odd, int shift, int16_t* out);
//       // What emit does, for the first so many 8-bit codes as fill vectors; returns how many those are.
//       static int emit8(const uint8_t* codes, const int16_t* residual, int gain, uint8_t* out, int count);
//       static void keep(Pairs&);      // to the compiler: this has changed
//   };
//
// Nothing of the standard library is instantiated here: the linker might keep a copy compiled for instructions that the
// processor lacks and use it everywhere.
// clang-format on
#pragma once

#include <string.h>

#include "kernels.h"

#if defined(__clang__)
#define ACUTANCE_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define ACUTANCE_UNROLL _Pragma("GCC unroll 16")
#else
#define ACUTANCE_UNROLL
#endif
#if defined(_MSC_VER)
#define ACUTANCE_INLINE __forceinline
#else
#define ACUTANCE_INLINE inline __attribute__((always_inline))
#endif

namespace acutance {
namespace {

// One group of outputs for `Vectors` vectors of pixels from x on. Sums live in named array elements that full unrolling
// turns into registers: kGroup * Vectors sums, Vectors loads, one broadcast and one product at a time, so that 16
// registers suffice.
template <class Isa, int Vectors>
ACUTANCE_INLINE void conv_block(const PackedLayer& layer, const ConvRow& row, int group, int x) {
    typename Isa::Sums sums[kGroup][Vectors];
    const int32_t* bias = layer.bias + group * kGroup;
    ACUTANCE_UNROLL
    for (int o = 0; o < kGroup; ++o) {
        ACUTANCE_UNROLL
        for (int v = 0; v < Vectors; ++v) sums[o][v] = Isa::splat(bias[o]);
    }
    const int16_t* weights = layer.weights + static_cast<ptrdiff_t>(group) * layer.pairs * 9 * kGroup * 2;
    ptrdiff_t offset = 2 * (static_cast<ptrdiff_t>(x) - 1);
    for (int pair = 0; pair < layer.pairs; ++pair, offset += row.source_plane) {
        ACUTANCE_UNROLL
        for (int dy = 0; dy < 3; ++dy) {
            const int16_t* source = row.source[dy] + offset;
            ACUTANCE_UNROLL
            for (int dx = 0; dx < 3; ++dx) {
                typename Isa::Pairs pixels[Vectors];
                ACUTANCE_UNROLL
                for (int v = 0; v < Vectors; ++v) pixels[v] = Isa::load(source + 2 * (dx + v * Isa::lanes));
                ACUTANCE_UNROLL
                for (int o = 0; o < kGroup; ++o) {
                    const typename Isa::Weights w = Isa::broadcast(weights + ((dy * 3 + dx) * kGroup + o) * 2);
                    ACUTANCE_UNROLL
                    for (int v = 0; v < Vectors; ++v) sums[o][v] = Isa::multiply_add(sums[o][v], pixels[v], w);
                }
            }
        }
        weights += 9 * kGroup * 2;
    }
    int16_t* target =
        row.target + static_cast<ptrdiff_t>(group) * (kGroup / 2) * row.target_plane + 2 * static_cast<ptrdiff_t>(x);
    const int16_t* slope = layer.slope + group * kGroup;
    ACUTANCE_UNROLL
    for (int o = 0; o < kGroup; o += 2) {
        ACUTANCE_UNROLL
        for (int v = 0; v < Vectors; ++v) {
            int16_t* out = target + (o / 2) * row.target_plane + 2 * v * Isa::lanes;
            if (layer.activated) {
                Isa::finish(sums[o][v], sums[o + 1][v], layer.shift, slope + o, out);
            } else {
                Isa::finish(sums[o][v], sums[o + 1][v], layer.shift, out);
            }
        }
    }
}

template <class Isa>
void conv(const PackedLayer& layer, const ConvRow& row) {
    constexpr int wide = Isa::lanes * Isa::vectors;
    int x = row.begin;
    for (; row.end - x > Isa::lanes * (Isa::vectors - 1); x += wide) {
        for (int group = 0; group < layer.groups; ++group) conv_block<Isa, Isa::vectors>(layer, row, group, x);
    }
    for (; x < row.end; x += Isa::lanes) {
        for (int group = 0; group < layer.groups; ++group) conv_block<Isa, 1>(layer, row, group, x);
    }
}

// Two neighbouring int16s as one int32.
inline int32_t pair(const int16_t* p) {
    int32_t both;
    memcpy(&both, p, sizeof both);
    return both;
}

inline int at_most(int value, int top) {
    return value < top ? value : top;
}
inline int rounded_product(int a, int b) {
    return (a * b + (1 << 14)) >> 15;
}

template <class Code>
void load(const Samples& samples, const Code* codes, int16_t* out, int count) {
    const int top = samples.top;
    const int left = samples.bits < 16 ? 15 - samples.bits : 0;
    const int right = samples.bits < 16 ? 0 : 1;
    if (!samples.full_range) {
        for (int i = 0; i < count; ++i) {
            const int c = at_most(codes[i], top);
            out[i] = static_cast<int16_t>((c << left) >> right);
        }
        return;
    }
    const int gain = samples.range_gain;
    for (int i = 0; i < count; ++i) {
        const int c = at_most(codes[i], top);
        out[i] = static_cast<int16_t>(rounded_product((c << left) >> right, gain) + 2048);
    }
}

template <class Code>
void emit(const Samples& samples, const Code* codes, const int16_t* residual, Code* out, int count) {
    const int top = samples.top, gain = samples.gain, shift = samples.gain_shift, half = 1 << (shift - 1);
    for (int i = 0; i < count; ++i) {
        const int c = at_most(codes[i], top);
        const int sum = c + ((residual[i] * gain + half) >> shift);
        out[i] = static_cast<Code>(sum < 0 ? 0 : sum > top ? top : sum);
    }
}

template <class Isa>
void emit8(const Samples& samples, const uint8_t* codes, const int16_t* residual, uint8_t* out, int count) {
    const int done = Isa::emit8(codes, residual, samples.gain, out, count);
    emit(samples, codes + done, residual + done, out + done, count - done);
}

inline void activity8(const uint8_t* above, const uint8_t* here, const uint8_t* below, int16_t* largest, int count) {
    for (int i = 0; i < count; ++i) {
        const int16_t laplacian = static_cast<int16_t>(4 * here[i] - here[i - 1] - here[i + 1] - above[i] - below[i]);
        const int16_t size = static_cast<int16_t>(laplacian < 0 ? -laplacian : laplacian);
        largest[i] = size > largest[i] ? size : largest[i];
    }
}

inline void activity16(int top, const uint16_t* above, const uint16_t* here, const uint16_t* below, int32_t* largest,
                       int count) {
    for (int i = 0; i < count; ++i) {
        const int laplacian = 4 * at_most(here[i], top) - at_most(here[i - 1], top) - at_most(here[i + 1], top) -
                              at_most(above[i], top) - at_most(below[i], top);
        const int size = laplacian < 0 ? -laplacian : laplacian;
        largest[i] = size > largest[i] ? size : largest[i];
    }
}

template <class Isa>
uint64_t peak(uint64_t rounds) {
    constexpr int chains = 8;
    int16_t memory[2 * Isa::lanes + 2];
    for (int i = 0; i < 2 * Isa::lanes + 2; ++i) memory[i] = static_cast<int16_t>(i);
    typename Isa::Sums sums[chains];
    typename Isa::Pairs pixels = Isa::load(memory);
    const typename Isa::Weights weights = Isa::broadcast(memory + 2 * Isa::lanes);
    ACUTANCE_UNROLL
    for (int c = 0; c < chains; ++c) sums[c] = Isa::splat(c);
    for (uint64_t i = 0; i < rounds; ++i) {
        Isa::keep(pixels);  // or the compiler multiplies once, before the loop
        ACUTANCE_UNROLL
        for (int c = 0; c < chains; ++c) {
            Isa::keep(pixels);
            sums[c] = Isa::multiply_add(sums[c], pixels, weights);
        }
    }
    volatile int16_t sink = 0;
    int16_t last[2 * Isa::lanes];
    ACUTANCE_UNROLL
    for (int c = 0; c < chains; c += 2) {
        Isa::finish(sums[c], sums[c + 1], 1, last);
        sink = last[0];
    }
    (void)sink;
    return rounds * chains * Isa::lanes * 2;
}

template <class Isa>
constexpr Kernels make_kernels(const char* name) {
    return Kernels{name,           Isa::lanes * Isa::vectors,
                   conv<Isa>,      load<uint8_t>,
                   load<uint16_t>, emit8<Isa>,
                   emit<uint16_t>, activity8,
                   activity16,     peak<Isa>};
}

}  // namespace
}  // namespace acutance
