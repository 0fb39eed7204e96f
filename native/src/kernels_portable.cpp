// Any processor: plain loops over eight pixels, which compilers turn into whatever vectors the target has.
#include "kernels_impl.h"

namespace acutance {
namespace {

struct Portable {
    static constexpr int lanes = 8, vectors = 1;
    struct Pairs {
        int16_t value[2 * lanes];
    };
    using Count = int;
    struct Weights {
        int16_t even, odd;
    };
    struct Sums {
        int32_t value[lanes];
    };

    static Pairs load(const int16_t* p) {
        Pairs x;
        memcpy(x.value, p, sizeof x.value);
        return x;
    }
    static void store(const Pairs& x, int16_t* p) { memcpy(p, x.value, sizeof x.value); }
    static Pairs add16(Pairs a, const Pairs& b) {
        for (int i = 0; i < 2 * lanes; ++i) a.value[i] = static_cast<int16_t>(a.value[i] + b.value[i]);
        return a;
    }
    static Pairs subtract16(Pairs a, const Pairs& b) {
        for (int i = 0; i < 2 * lanes; ++i) a.value[i] = static_cast<int16_t>(a.value[i] - b.value[i]);
        return a;
    }
    static Count count(int bits) { return bits; }
    static Weights broadcast(const int16_t* p) {
        Weights w;
        memcpy(&w, p, sizeof w);
        return w;
    }
    static Sums splat(int32_t value) {
        Sums sums;
        for (int i = 0; i < lanes; ++i) sums.value[i] = value;
        return sums;
    }
    static Sums multiply_add(Sums sums, const Pairs& x, Weights w) {
        for (int i = 0; i < lanes; ++i) {
            const int32_t products = x.value[2 * i] * w.even + x.value[2 * i + 1] * w.odd;
            sums.value[i] = wrapped(static_cast<uint32_t>(sums.value[i]) + static_cast<uint32_t>(products));
        }
        return sums;
    }
    static int32_t wrapped(uint32_t value) { return static_cast<int32_t>(value); }
    static Sums add(Sums a, const Sums& b) {
        for (int i = 0; i < lanes; ++i) {
            a.value[i] = wrapped(static_cast<uint32_t>(a.value[i]) + static_cast<uint32_t>(b.value[i]));
        }
        return a;
    }
    static Sums subtract(Sums a, const Sums& b) {
        for (int i = 0; i < lanes; ++i) {
            a.value[i] = wrapped(static_cast<uint32_t>(a.value[i]) - static_cast<uint32_t>(b.value[i]));
        }
        return a;
    }
    static void spill(Sums&) {}
    static int halved(int value) { return (value < -32768 ? -32768 : value > 32767 ? 32767 : value) >> 1; }
    static void finish(const Sums& even, const Sums& odd, Count shift, int16_t* out) {
        int16_t packed[2 * lanes];
        for (int i = 0; i < lanes; ++i) {
            packed[2 * i] = static_cast<int16_t>(halved(even.value[i] >> shift));
            packed[2 * i + 1] = static_cast<int16_t>(halved(odd.value[i] >> shift));
        }
        memcpy(out, packed, sizeof packed);
    }
    static void finish(const Sums& even, const Sums& odd, Count shift, const int16_t* slope, int16_t* out) {
        int16_t packed[2 * lanes];
        for (int i = 0; i < 2 * lanes; ++i) {
            const int s = halved((i % 2 ? odd : even).value[i / 2] >> shift);
            const int sloped = rounded_product(s, slope[i % 2 * 4]);
            packed[i] = static_cast<int16_t>(s > sloped ? s : sloped);
        }
        memcpy(out, packed, sizeof packed);
    }
    static void keep(Pairs& pixels) {
        volatile int16_t sink = pixels.value[0];
        pixels.value[0] = sink;
    }
    static int emit8(const uint8_t*, const int16_t*, int, uint8_t*, int) { return 0; }
};

}  // namespace

const Kernels kPortable = make_kernels<Portable>("portable");

}  // namespace acutance
