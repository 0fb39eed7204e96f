// NEON (AArch64): 32 registers of four sums; smlal and smlal2. Loading takes the even and the odd channels apart.
#include "kernels.h"

#if defined(ACUTANCE_ARM64)
#include <arm_neon.h>

#include "kernels_impl.h"

namespace acutance {
namespace {

struct Neon {
    static constexpr int lanes = 8, vectors = 2;
    using Pairs = int16x8x2_t;
    using Count = int32x4_t;
    struct Weights {
        int16_t even, odd;
    };
    struct Sums {
        int32x4_t low, high;
    };

    static Pairs load(const int16_t* p) { return vld2q_s16(p); }
    static void store(Pairs x, int16_t* p) { vst2q_s16(p, x); }
    static Pairs add16(Pairs a, Pairs b) {
        return Pairs{{vaddq_s16(a.val[0], b.val[0]), vaddq_s16(a.val[1], b.val[1])}};
    }
    static Pairs subtract16(Pairs a, Pairs b) {
        return Pairs{{vsubq_s16(a.val[0], b.val[0]), vsubq_s16(a.val[1], b.val[1])}};
    }
    static Count count(int bits) { return vdupq_n_s32(-bits); }
    static Weights broadcast(const int16_t* p) { return Weights{p[0], p[1]}; }
    static Sums splat(int32_t value) { return Sums{vdupq_n_s32(value), vdupq_n_s32(value)}; }
    static Sums multiply_add(Sums sums, Pairs x, Weights w) {
        sums.low = vmlal_n_s16(sums.low, vget_low_s16(x.val[0]), w.even);
        sums.high = vmlal_high_n_s16(sums.high, x.val[0], w.even);
        sums.low = vmlal_n_s16(sums.low, vget_low_s16(x.val[1]), w.odd);
        sums.high = vmlal_high_n_s16(sums.high, x.val[1], w.odd);
        return sums;
    }
    static Sums add(Sums a, Sums b) { return Sums{vaddq_s32(a.low, b.low), vaddq_s32(a.high, b.high)}; }
    static Sums subtract(Sums a, Sums b) { return Sums{vsubq_s32(a.low, b.low), vsubq_s32(a.high, b.high)}; }
    static void spill(Sums&) {}
    static int16x8_t shifted(Sums sums, Count shift) {
        const int16x8_t both =
            vcombine_s16(vqmovn_s32(vshlq_s32(sums.low, shift)), vqmovn_s32(vshlq_s32(sums.high, shift)));
        return vshrq_n_s16(both, 1);
    }
    static void interleave(int16x8_t even, int16x8_t odd, int16_t* out) {
        const int16x8x2_t both{
            {even, odd}};  // named: to Clang vst2q_s16 is a macro, and a comma would part its arguments
        vst2q_s16(out, both);
    }
    static int16x8_t prelu(int16x8_t s, int16_t slope) { return vmaxq_s16(s, vqrdmulhq_n_s16(s, slope)); }
    static void finish(Sums even, Sums odd, Count shift, int16_t* out) {
        interleave(shifted(even, shift), shifted(odd, shift), out);
    }
    static void finish(Sums even, Sums odd, Count shift, const int16_t* slope, int16_t* out) {
        interleave(prelu(shifted(even, shift), slope[0]), prelu(shifted(odd, shift), slope[4]), out);
    }
    static void keep(Pairs& pixels) {
#if defined(__GNUC__)
        __asm__("" : "+w"(pixels.val[0]), "+w"(pixels.val[1]));
#else
        (void)pixels;
#endif
    }
    static int emit8(const uint8_t*, const int16_t*, int, uint8_t*, int) { return 0; }
};

}  // namespace

const Kernels kNeon = make_kernels<Neon>("neon");

}  // namespace acutance

#endif
