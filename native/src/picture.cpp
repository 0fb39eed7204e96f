#include "picture.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace acutance {

Samples make_samples(const acutance_format& format, double strength) {
    const int bits = format.bit_depth, top = (1 << bits) - 1;
    Samples samples{};
    samples.bits = bits;
    samples.top = top;
    samples.full_range = format.full_range != 0;
    samples.range_gain = static_cast<int>(std::nearbyint(32768.0 * 219.0 * 64.0 / (top * std::ldexp(1.0, 14 - bits))));
    samples.gain_shift = bits <= 13 ? 15 : 28 - bits;
    const double unit = samples.full_range ? top / 219.0 : std::ldexp(1.0, bits - 8);
    samples.gain = static_cast<int>(std::nearbyint(strength * unit * std::ldexp(1.0, samples.gain_shift) / 64.0));
    return samples;
}

void load_row(const Kernels& kernels, const Picture& picture, int y, int begin, int end, int16_t* activations) {
    const int row = std::min(y, picture.height - 1), inside = std::min(end, picture.width) - begin;
    switch (picture.kind) {
        case Kind::kCodes8:
            kernels.load8(picture.samples, picture.luma_row<uint8_t>(row) + begin, activations, inside);
            break;
        case Kind::kCodes16:
            kernels.load16(picture.samples, picture.luma_row<uint16_t>(row) + begin, activations, inside);
            break;
        case Kind::kActivations:
            for (int i = 0; i < inside; ++i) {
                activations[i] = std::clamp<int16_t>(picture.luma_row<int16_t>(row)[begin + i], 1 - kActivationLimit,
                                                     kActivationLimit - 1);
            }
            break;
    }
    std::fill(activations + inside, activations + (end - begin), activations[inside - 1]);
}

void emit_row(const Kernels& kernels, const Picture& picture, int y, int begin, int end, const int16_t* residual) {
    if (y >= picture.out_height) return;
    const int inside = std::min(end, picture.out_width) - begin;
    if (inside <= 0) return;
    switch (picture.kind) {
        case Kind::kCodes8:
            kernels.emit8(picture.samples, picture.luma_row<uint8_t>(y) + begin, residual,
                          picture.out_row<uint8_t>(y) + begin, inside);
            break;
        case Kind::kCodes16:
            kernels.emit16(picture.samples, picture.luma_row<uint16_t>(y) + begin, residual,
                           picture.out_row<uint16_t>(y) + begin, inside);
            break;
        case Kind::kActivations:
            std::memcpy(picture.out_row<int16_t>(y) + begin, residual, static_cast<size_t>(inside) * sizeof(int16_t));
            break;
    }
    copy_row(picture, y, begin, inside);
}

void copy_row(const Picture& picture, int y, int begin, int count) {
    if (picture.copy == nullptr) return;
    const size_t sample = static_cast<size_t>(picture.sample_bytes()), first = static_cast<size_t>(begin);
    const size_t row = static_cast<size_t>(y) * static_cast<size_t>(picture.out_width);
    std::memcpy(picture.copy + (row + first) * sample, picture.out_row<uint8_t>(y) + first * sample,
                static_cast<size_t>(count) * sample);
}

}  // namespace acutance
