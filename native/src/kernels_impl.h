// clang-format off
// The kernels, once, for any instruction set. Included by one file per set, which first defines, in its own unnamed namespace:
//
//   struct Isa {
//       static constexpr int lanes;    // pixels in a vector
//       static constexpr int vectors;  // of pixels computed together: kGroup * vectors sums stay in registers
//       using Pairs, Weights, Sums;    // a vector of pixels' pairs; one broadcast pair of weights; a vector of int32 sums
//       using Count;                   // a number of bits to shift by
//       static Pairs load(const int16_t*);
//       static void store(Pairs, int16_t*);
//       static Count count(int);
//       static Weights broadcast(const int16_t*);
//       static Sums splat(int32_t);
//       static Sums multiply_add(Sums, Pairs, Weights);
//       // Optional: what multiply_add_group below does, where an instruction set loads the weights of a group better.
//       template <int Vectors>
//       static void multiply_add_group(Sums (&)[kGroup][Vectors], const Pairs (&)[Vectors], const int16_t*);
//       static Sums add(Sums, Sums), subtract(Sums, Sums);            // these three wrap around, as do
//       static Pairs add16(Pairs, Pairs), subtract16(Pairs, Pairs);
//       static void spill(Sums&);      // to the compiler: this lies in memory, and has changed
//       // Shift, saturate, halve, PReLU (slopes as PackedLayer has them), interleave, store; without the PReLU.
//       static void finish(Sums even, Sums odd, Count shift, const int16_t* slope, int16_t* out);
//       static void finish(Sums even, Sums odd, Count shift, int16_t* out);
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

inline int at_most(int value, int top) {
    return value < top ? value : top;
}

constexpr int kStrip = 128;  // pixels whose combinations of rows are made and used together, in the first-level cache

// Where one combination of one pair lies in the scratch memory: a strip, a pixel on each side, and what vectors add.
template <class Isa>
constexpr ptrdiff_t kScratchPlane = 2 * (kStrip + Isa::lanes);

// Adds the products of one tap to the sums of a group of outputs. The first overload is taken where the set has its
// own.
template <class Isa, int Vectors>
ACUTANCE_INLINE auto multiply_add_group(typename Isa::Sums (&sums)[kGroup][Vectors],
                                        const typename Isa::Pairs (&x)[Vectors], const int16_t* weights, int)
    -> decltype(Isa::multiply_add_group(sums, x, weights)) {
    Isa::multiply_add_group(sums, x, weights);
}
template <class Isa, int Vectors>
ACUTANCE_INLINE void multiply_add_group(typename Isa::Sums (&sums)[kGroup][Vectors],
                                        const typename Isa::Pairs (&x)[Vectors], const int16_t* weights, long) {
    ACUTANCE_UNROLL
    for (int o = 0; o < kGroup; ++o) {
        const typename Isa::Weights w = Isa::broadcast(weights + o * 2);
        ACUTANCE_UNROLL
        for (int v = 0; v < Vectors; ++v) sums[o][v] = Isa::multiply_add(sums[o][v], x[v], w);
    }
}

// Adds one product of a group of outputs to sums that lie in registers: kGroup * Vectors of them, Vectors loads, one
// broadcast and one product at a time, so that 16 registers suffice.
template <class Isa, int Vectors>
ACUTANCE_INLINE void accumulate(typename Isa::Sums (&sums)[kGroup][Vectors], int pairs, const int16_t* pixels,
                                const int16_t* weights) {
    for (int pair = 0; pair < pairs; ++pair) {
        ACUTANCE_UNROLL
        for (int dx = 0; dx < 3; ++dx) {
            typename Isa::Pairs x[Vectors];
            ACUTANCE_UNROLL
            for (int v = 0; v < Vectors; ++v) x[v] = Isa::load(pixels + 2 * (dx + v * Isa::lanes));
            multiply_add_group<Isa>(sums, x, weights + dx * kGroup * 2, 0);
        }
        pixels += kProducts * kScratchPlane<Isa>;
        weights += 3 * kGroup * 2;
    }
}

template <class Isa, int Vectors>
ACUTANCE_INLINE void finish_row(const PackedLayer& layer, const typename Isa::Sums (&sums)[kGroup][Vectors], int group,
                                int16_t* target, ptrdiff_t target_plane) {
    const typename Isa::Count shift = Isa::count(layer.shift);
    const int16_t* slope = layer.slope + group * kGroup * 4;
    if (layer.activated) {
        ACUTANCE_UNROLL
        for (int o = 0; o < kGroup; o += 2, target += target_plane) {
            ACUTANCE_UNROLL
            for (int v = 0; v < Vectors; ++v) {
                Isa::finish(sums[o][v], sums[o + 1][v], shift, slope + o * 4, target + 2 * v * Isa::lanes);
            }
        }
    } else {
        ACUTANCE_UNROLL
        for (int o = 0; o < kGroup; o += 2, target += target_plane) {
            ACUTANCE_UNROLL
            for (int v = 0; v < Vectors; ++v) {
                Isa::finish(sums[o][v], sums[o + 1][v], shift, target + 2 * v * Isa::lanes);
            }
        }
    }
}

// One group of outputs of both rows, `Vectors` vectors of pixels from x on, which are pixels `at` on of the strip.
template <class Isa, int Vectors>
ACUTANCE_INLINE void conv_block(const PackedLayer& layer, const ConvRows& rows, int group, int x, int at) {
    using Sums = typename Isa::Sums;
    const ptrdiff_t product = static_cast<ptrdiff_t>(layer.pairs) * 3 * kGroup * 2;
    const int16_t* weights = layer.weights + group * kProducts * product;
    const int16_t* pixels = rows.scratch + 2 * static_cast<ptrdiff_t>(at);
    const int32_t* bias = layer.bias + group * kGroup;
    Sums sums[kGroup][Vectors], others[kGroup][Vectors];
    ACUTANCE_UNROLL
    for (int o = 0; o < kGroup; ++o) {
        ACUTANCE_UNROLL
        for (int v = 0; v < Vectors; ++v) sums[o][v] = Isa::splat(bias[o]);
    }
    accumulate<Isa, Vectors>(sums, layer.pairs, pixels + kSum * kScratchPlane<Isa>, weights + kSum * product);
    ACUTANCE_UNROLL
    for (int o = 0; o < kGroup; ++o) {
        ACUTANCE_UNROLL
        for (int v = 0; v < Vectors; ++v) {
            others[o][v] = sums[o][v];
            Isa::spill(others[o][v]);  // the other registers are needed
            sums[o][v] = Isa::splat(0);
        }
    }
    accumulate<Isa, Vectors>(sums, layer.pairs, pixels + kDifference * kScratchPlane<Isa>,
                             weights + kDifference * product);
    ACUTANCE_UNROLL
    for (int o = 0; o < kGroup; ++o) {
        ACUTANCE_UNROLL
        for (int v = 0; v < Vectors; ++v) {
            const Sums sum = others[o][v], difference = sums[o][v];
            sums[o][v] = Isa::add(sum, difference);
            others[o][v] = Isa::subtract(sum, difference);
            Isa::spill(others[o][v]);
        }
    }
    const ptrdiff_t target =
        static_cast<ptrdiff_t>(group) * (kGroup / 2) * rows.target_plane + 2 * static_cast<ptrdiff_t>(x);
    accumulate<Isa, Vectors>(sums, layer.pairs, pixels + kFirst * kScratchPlane<Isa>, weights + kFirst * product);
    finish_row<Isa, Vectors>(layer, sums, group, rows.target[0] + target, rows.target_plane);
    ACUTANCE_UNROLL
    for (int o = 0; o < kGroup; ++o) {
        ACUTANCE_UNROLL
        for (int v = 0; v < Vectors; ++v) sums[o][v] = others[o][v];
    }
    accumulate<Isa, Vectors>(sums, layer.pairs, pixels + kSecond * kScratchPlane<Isa>, weights + kSecond * product);
    finish_row<Isa, Vectors>(layer, sums, group, rows.target[1] + target, rows.target_plane);
}

// The combinations of rows that are multiplied, for `count` pixels from x - 1 on: a multiple of Isa::lanes.
template <class Isa>
ACUTANCE_INLINE void combine_rows(const PackedLayer& layer, const ConvRows& rows, int x, int count) {
    for (int pair = 0; pair < layer.pairs; ++pair) {
        const ptrdiff_t from = pair * rows.source_plane + 2 * (static_cast<ptrdiff_t>(x) - 1);
        int16_t* out = rows.scratch + pair * kProducts * kScratchPlane<Isa>;
        for (int i = 0; i < 2 * count; i += 2 * Isa::lanes) {
            const typename Isa::Pairs a = Isa::load(rows.source[0] + from + i),
                                      b = Isa::load(rows.source[1] + from + i),
                                      c = Isa::load(rows.source[2] + from + i),
                                      d = Isa::load(rows.source[3] + from + i);
            Isa::store(Isa::add16(b, c), out + kSum * kScratchPlane<Isa> + i);
            Isa::store(Isa::subtract16(c, b), out + kDifference * kScratchPlane<Isa> + i);
            Isa::store(Isa::subtract16(a, c), out + kFirst * kScratchPlane<Isa> + i);
            Isa::store(Isa::subtract16(b, d), out + kSecond * kScratchPlane<Isa> + i);
        }
    }
}

template <class Isa>
void conv(const PackedLayer& layer, const ConvRows& rows) {
    constexpr int wide = Isa::lanes * Isa::vectors;
    static_assert(kStrip % wide == 0, "a strip is made of whole blocks");
    for (int x = rows.begin; x < rows.end; x += kStrip) {
        const int length = at_most(rows.end - x, kStrip);
        // Whole vectors, of which the last has the pixel beyond the strip in it.
        combine_rows<Isa>(layer, rows, x, ((length + Isa::lanes - 1) / Isa::lanes + 1) * Isa::lanes);
        int at = 0;
        for (; length - at > Isa::lanes * (Isa::vectors - 1); at += wide) {
            for (int group = 0; group < layer.groups; ++group)
                conv_block<Isa, Isa::vectors>(layer, rows, group, x + at, at);
        }
        for (; at < length; at += Isa::lanes) {
            for (int group = 0; group < layer.groups; ++group) conv_block<Isa, 1>(layer, rows, group, x + at, at);
        }
    }
}

// Two neighbouring int16s as one int32.
inline int32_t pair(const int16_t* p) {
    int32_t both;
    memcpy(&both, p, sizeof both);
    return both;
}

inline int rounded_product(int a, int b) {
    return (a * b + (1 << 14)) >> 15;
}

template <class Code>
void load(const Samples& samples, const Code* codes, int16_t* out, int count) {
    const int top = samples.top;
    const int left = samples.bits < 14 ? 14 - samples.bits : 0;
    const int right = samples.bits < 14 ? 0 : samples.bits - 14;
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
        out[i] = static_cast<int16_t>(rounded_product((c << left) >> right, gain) + 1024);
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

// Four weights of kSumBits - bits bits, for samples of so many bits. A copy of its own, because a compiler has to
// assume that a row of bytes overlaps whatever it has a reference to.
struct Filter {
    Filter(const Samples& samples, const int32_t* weights)
        : w0(weights[0]),
          w1(weights[1]),
          w2(weights[2]),
          w3(weights[3]),
          shift(kSumBits - samples.bits),
          half(1 << (shift - 1)),
          top(samples.top) {}

    // The sum, rounded and clipped to a code.
    ACUTANCE_INLINE int operator()(int a, int b, int c, int d) const {
        const int value = (half + a * w0 + b * w1 + c * w2 + d * w3) >> shift;
        return value < 0 ? 0 : at_most(value, top);
    }
    const int w0, w1, w2, w3, shift, half, top;
};

template <int Step, class Code>
ACUTANCE_INLINE void widen_by(const Filter filter, const Code* codes, int step, Code* out, int count) {
    const int top = filter.top;
    for (int i = 0; i < count; ++i) {
        const Code* here = codes + i * static_cast<ptrdiff_t>(Step > 0 ? Step : step);
        out[i] = static_cast<Code>(
            filter(at_most(here[0], top), at_most(here[1], top), at_most(here[2], top), at_most(here[3], top)));
    }
}

template <class Code>
void widen(const Samples& samples, const Code* codes, int step, const int32_t* weights, Code* out, int count) {
    const Filter filter(samples, weights);
    if (step == 1) {
        widen_by<1>(filter, codes, step, out, count);
    } else if (step == 2) {
        widen_by<2>(filter, codes, step, out, count);
    } else {
        widen_by<0>(filter, codes, step, out, count);
    }
}

// One phase of an enlarged row.
template <class Code>
ACUTANCE_INLINE void enlarge_phase(const Filter filter, const Code* a, const Code* b, const Code* c, const Code* d,
                                   Code* line, int count) {
    for (int i = 0; i < count; ++i) line[i] = static_cast<Code>(filter(a[i], b[i], c[i], d[i]));
}

// The same plus the residual, of which every second int16 belongs to the phase.
template <class Code>
ACUTANCE_INLINE void enlarge_phase(const Filter filter, const Code* a, const Code* b, const Code* c, const Code* d,
                                   const int16_t* residual, int gain, int shift, Code* line, int count) {
    const int half = 1 << (shift - 1), top = filter.top;
    for (int i = 0; i < count; ++i) {
        const int sum = filter(a[i], b[i], c[i], d[i]) + ((residual[2 * i] * gain + half) >> shift);
        line[i] = static_cast<Code>(sum < 0 ? 0 : at_most(sum, top));
    }
}

template <int Phases, class Code>
ACUTANCE_INLINE void interleave(const Code (*lines)[kStrip], int phases, Code* out, int pixels) {
    const int count = Phases > 0 ? Phases : phases;
    for (int x = 0; x < pixels; ++x) {
        for (int phase = 0; phase < count; ++phase) out[x * count + phase] = lines[phase][x];
    }
}

template <class Code>
void enlarge(const Samples& samples, const EnlargedRow& row, Code* out, int count) {
    const Filter filter(samples, row.weights);
    const int phases = row.phases, gain = samples.gain, shift = samples.gain_shift;
    Code lines[kMaxPhases][kStrip];
    for (int x = 0; count > 0; x += kStrip) {
        const int pixels = at_most((count + phases - 1) / phases, kStrip);
        for (int phase = 0; phase < phases; ++phase) {
            const ptrdiff_t from = phase * row.plane + x;
            const Code* rows[4];
            for (int j = 0; j < 4; ++j) rows[j] = static_cast<const Code*>(row.rows[j]) + from;
            if (row.residual == nullptr) {
                enlarge_phase(filter, rows[0], rows[1], rows[2], rows[3], lines[phase], pixels);
                continue;
            }
            const int channel = row.first_channel + phase;
            const int16_t* residual =
                row.residual + (channel / 2) * row.residual_plane + channel % 2 + 2 * static_cast<ptrdiff_t>(x);
            enlarge_phase(filter, rows[0], rows[1], rows[2], rows[3], residual, gain, shift, lines[phase], pixels);
        }
        const int whole = at_most(count / phases, pixels);
        switch (phases) {
            case 2:
                interleave<2>(lines, phases, out, whole);
                break;
            case 3:
                interleave<3>(lines, phases, out, whole);
                break;
            case 4:
                interleave<4>(lines, phases, out, whole);
                break;
            default:
                interleave<0>(lines, phases, out, whole);
                break;
        }
        out += whole * phases;
        count -= whole * phases;
        if (whole < pixels) {  // the output ends within a pixel
            for (int phase = 0; phase < count; ++phase) out[phase] = lines[phase][whole];
            return;
        }
    }
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
        Isa::finish(sums[c], sums[c + 1], Isa::count(1), last);
        sink = last[0];
    }
    (void)sink;
    return rounds * chains * Isa::lanes * 2;
}

template <class Isa>
constexpr Kernels make_kernels(const char* name) {
    return Kernels{name,
                   2 * Isa::lanes,
                   static_cast<int>(kProducts * kScratchPlane<Isa>),
                   conv<Isa>,
                   load<uint8_t>,
                   load<uint16_t>,
                   emit8<Isa>,
                   emit<uint16_t>,
                   widen<uint8_t>,
                   widen<uint16_t>,
                   enlarge<uint8_t>,
                   enlarge<uint16_t>,
                   activity8,
                   activity16,
                   peak<Isa>};
}

}  // namespace
}  // namespace acutance
