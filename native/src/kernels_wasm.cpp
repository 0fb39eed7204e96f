// WebAssembly SIMD (128 bits): i32x4.dot_i16x8_s is x86's pmaddwd. Relaxed SIMD is left alone: it gains nothing here,
// and its results may differ between processors.
#include "kernels.h"

#if defined(ACUTANCE_WASM)
#include <wasm_simd128.h>

#include "kernels_impl.h"

namespace acutance {
namespace {

struct Wasm {
    static constexpr int lanes = 4, vectors = 2;
    using Pairs = v128_t;
    using Weights = v128_t;
    using Sums = v128_t;
    using Count = uint32_t;

    static Pairs load(const int16_t* p) { return wasm_v128_load(p); }
    static void store(Pairs x, int16_t* p) { wasm_v128_store(p, x); }
    static Pairs add16(Pairs a, Pairs b) { return wasm_i16x8_add(a, b); }
    static Pairs subtract16(Pairs a, Pairs b) { return wasm_i16x8_sub(a, b); }
    static Weights broadcast(const int16_t* p) { return wasm_v128_load32_splat(p); }
    static Count count(int bits) { return static_cast<Count>(bits); }
    static Sums splat(int32_t value) { return wasm_i32x4_splat(value); }
    static Sums multiply_add(Sums sums, Pairs x, Weights w) { return wasm_i32x4_add(sums, wasm_i32x4_dot_i16x8(x, w)); }
    // V8 folds the constant offset of a plain load into its address, but not that of load32_splat: twelve addresses
    // would fill the registers. So the weights of a tap for four outputs are loaded together and each is shuffled out.
    template <int Vectors>
    static void multiply_add_group(Sums (&sums)[kGroup][Vectors], const Pairs (&x)[Vectors], const int16_t* weights) {
        v128_t four = wasm_v128_load(weights);
        __asm__ volatile("" : "+r"(four));  // or LLVM makes load32_splat of the load and the shuffles
        multiply_add_output<0>(sums, x, four);
        multiply_add_output<1>(sums, x, four);
        multiply_add_output<2>(sums, x, four);
        multiply_add_output<3>(sums, x, four);
    }
    static Sums add(Sums a, Sums b) { return wasm_i32x4_add(a, b); }
    static Sums subtract(Sums a, Sums b) { return wasm_i32x4_sub(a, b); }
    static void spill(Sums&) {}
    static void keep(Pairs& pixels) { __asm__ volatile("" : "+r"(pixels)); }
    static void finish(Sums even, Sums odd, Count shift, int16_t* out) { interleave(shifted(even, odd, shift), out); }
    static void finish(Sums even, Sums odd, Count shift, const int16_t* slope, int16_t* out) {
        const v128_t s = shifted(even, odd, shift);
        interleave(wasm_i16x8_max(s, wasm_i16x8_q15mulr_sat(s, wasm_v128_load(slope))), out);
    }
    static int emit8(const uint8_t* codes, const int16_t* residual, int gain, uint8_t* out, int count) {
        const v128_t gains = wasm_i16x8_splat(static_cast<int16_t>(gain));
        int i = 0;
        for (; i + 16 <= count; i += 16) {
            const v128_t code = wasm_v128_load(codes + i);
            const v128_t low = wasm_i16x8_add(wasm_u16x8_extend_low_u8x16(code),
                                              wasm_i16x8_q15mulr_sat(wasm_v128_load(residual + i), gains));
            const v128_t high = wasm_i16x8_add(wasm_u16x8_extend_high_u8x16(code),
                                               wasm_i16x8_q15mulr_sat(wasm_v128_load(residual + i + 8), gains));
            wasm_v128_store(out + i, wasm_u8x16_narrow_i16x8(low, high));
        }
        return i;
    }

private:
    template <int Output, int Vectors>
    static void multiply_add_output(Sums (&sums)[kGroup][Vectors], const Pairs (&x)[Vectors], v128_t four) {
        const Weights w = wasm_i32x4_shuffle(four, four, Output, Output, Output, Output);
        ACUTANCE_UNROLL
        for (int v = 0; v < Vectors; ++v) sums[Output][v] = multiply_add(sums[Output][v], x[v], w);
    }
    // Four even outputs, then four odd ones.
    static v128_t shifted(Sums even, Sums odd, Count shift) {
        __asm__ volatile("" : "+r"(shift));  // LLVM 14 hoists a splat of the count and then shifts lane by lane
        return wasm_i16x8_shr(wasm_i16x8_narrow_i32x4(wasm_i32x4_shr(even, shift), wasm_i32x4_shr(odd, shift)), 1);
    }
    static void interleave(v128_t packed, int16_t* out) {
        wasm_v128_store(out, wasm_i16x8_shuffle(packed, packed, 0, 4, 1, 5, 2, 6, 3, 7));
    }
};

}  // namespace

const Kernels kWasm = make_kernels<Wasm>("wasm");

}  // namespace acutance

#endif
