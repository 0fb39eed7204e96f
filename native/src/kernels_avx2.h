// AVX2: 16 registers of 8 pixels. The file that includes this says how to multiply and add.
#pragma once

#include <immintrin.h>

#include "kernels_impl.h"

namespace acutance {
namespace {

struct Avx2 {
    static constexpr int lanes = 8, vectors = 2;
    using Pairs = __m256i;
    using Weights = __m256i;
    using Sums = __m256i;
    using Count = __m128i;

    static Pairs load(const int16_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
    static void store(Pairs x, int16_t* p) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x); }
    static Pairs add16(Pairs a, Pairs b) { return _mm256_add_epi16(a, b); }
    static Pairs subtract16(Pairs a, Pairs b) { return _mm256_sub_epi16(a, b); }
    static Weights broadcast(const int16_t* p) { return _mm256_set1_epi32(pair(p)); }
    static Count count(int bits) { return _mm_cvtsi32_si128(bits); }
    static Sums splat(int32_t value) { return _mm256_set1_epi32(value); }
    static Sums multiply_add(Sums sums, Pairs x, Weights w) {
        sums = ACUTANCE_AVX2_MULTIPLY_ADD(sums, x, w);
        keep(sums);
        return sums;
    }
    // GCC adds the products of a tap to each other before it adds them to the sums, keeps them all until then, and runs
    // out of registers: half the speed. It cannot look past this.
    static void keep(Sums& sums) {
#if defined(__GNUC__)
        __asm__("" : "+x"(sums));
#endif
    }

    static Sums add(Sums a, Sums b) { return _mm256_add_epi32(a, b); }
    static Sums subtract(Sums a, Sums b) { return _mm256_sub_epi32(a, b); }
    static void spill(Sums& sums) {
#if defined(__GNUC__)
        __asm__("" : "+m"(sums));
#else
        (void)sums;
#endif
    }

    // In each half: four even and four odd outputs, int16.
    static __m256i shifted(Sums even, Sums odd, Count shift) {
        return _mm256_srai_epi16(_mm256_packs_epi32(_mm256_sra_epi32(even, shift), _mm256_sra_epi32(odd, shift)), 1);
    }
    static void interleave(__m256i packed, int16_t* out) {
        const __m256i order =
            _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_shuffle_epi8(packed, order));
    }
    static void finish(Sums even, Sums odd, Count shift, int16_t* out) { interleave(shifted(even, odd, shift), out); }
    static void finish(Sums even, Sums odd, Count shift, const int16_t* slope, int16_t* out) {
        const __m256i s = shifted(even, odd, shift);
        const __m256i slopes = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(slope)));
        interleave(_mm256_max_epi16(s, _mm256_mulhrs_epi16(s, slopes)), out);
    }

    static int emit8(const uint8_t* codes, const int16_t* residual, int gain, uint8_t* out, int count) {
        const __m256i gains = _mm256_set1_epi16(static_cast<int16_t>(gain));
        const auto sharpened = [&](int i) {
            const __m256i code = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + i)));
            const __m256i change = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(residual + i));
            return _mm256_add_epi16(code, _mm256_mulhrs_epi16(change, gains));
        };
        int i = 0;
        for (; i + 32 <= count; i += 32) {
            const __m256i packed = _mm256_packus_epi16(sharpened(i), sharpened(i + 16));  // half by half
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm256_permute4x64_epi64(packed, 0xd8));
        }
        return i;
    }
};

}  // namespace
}  // namespace acutance
