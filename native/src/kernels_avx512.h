// AVX-512 (F and BW): 32 registers of 16 pixels. The file that includes this says how to multiply and add.
#pragma once

#include <immintrin.h>

#include "kernels_impl.h"

namespace acutance {
namespace {

struct Avx512 {
    static constexpr int lanes = 16, vectors = 2;
    using Pairs = __m512i;
    using Weights = __m512i;
    using Sums = __m512i;
    using Count = __m128i;

    static Pairs load(const int16_t* p) { return _mm512_loadu_si512(p); }
    static void store(Pairs x, int16_t* p) { _mm512_storeu_si512(p, x); }
    static Pairs add16(Pairs a, Pairs b) { return _mm512_add_epi16(a, b); }
    static Pairs subtract16(Pairs a, Pairs b) { return _mm512_sub_epi16(a, b); }
    static Weights broadcast(const int16_t* p) { return _mm512_set1_epi32(pair(p)); }
    static Count count(int bits) { return _mm_cvtsi32_si128(bits); }
    static Sums splat(int32_t value) { return _mm512_set1_epi32(value); }
    static Sums multiply_add(Sums sums, Pairs x, Weights w) {
        sums = ACUTANCE_AVX512_MULTIPLY_ADD(sums, x, w);
        keep(sums);
        return sums;
    }
    // As in kernels_avx2.h: GCC must not add products to each other first.
    static void keep(Sums& sums) {
#if defined(__GNUC__)
        __asm__("" : "+v"(sums));
#endif
    }

    static Sums add(Sums a, Sums b) { return _mm512_add_epi32(a, b); }
    static Sums subtract(Sums a, Sums b) { return _mm512_sub_epi32(a, b); }
    static void spill(Sums&) {}  // registers suffice

    // In each quarter: four even and four odd outputs, int16.
    static __m512i shifted(Sums even, Sums odd, Count shift) {
        return _mm512_srai_epi16(_mm512_packs_epi32(_mm512_sra_epi32(even, shift), _mm512_sra_epi32(odd, shift)), 1);
    }
    static void interleave(__m512i packed, int16_t* out) {
        const __m512i order =
            _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
        _mm512_storeu_si512(out, _mm512_shuffle_epi8(packed, order));
    }
    static void finish(Sums even, Sums odd, Count shift, int16_t* out) { interleave(shifted(even, odd, shift), out); }
    static void finish(Sums even, Sums odd, Count shift, const int16_t* slope, int16_t* out) {
        const __m512i s = shifted(even, odd, shift);
        const __m512i slopes = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(slope)));
        interleave(_mm512_max_epi16(s, _mm512_mulhrs_epi16(s, slopes)), out);
    }

    static int emit8(const uint8_t* codes, const int16_t* residual, int gain, uint8_t* out, int count) {
        const __m512i gains = _mm512_set1_epi16(static_cast<int16_t>(gain));
        int i = 0;
        for (; i + 32 <= count; i += 32) {
            const __m512i code = _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + i)));
            const __m512i change = _mm512_mulhrs_epi16(_mm512_loadu_si512(residual + i), gains);
            const __m512i sum = _mm512_max_epi16(_mm512_add_epi16(code, change), _mm512_setzero_si512());
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm512_cvtusepi16_epi8(sum));
        }
        return i;
    }
};

}  // namespace
}  // namespace acutance
