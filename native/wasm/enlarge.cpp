#include "enlarge.h"

#include <algorithm>
#include <cmath>

namespace acutance {
namespace {

constexpr int kPrecision = 22;  // bits of a weight behind the point: 8 bits of sample and 2 of overshoot make 32

double bicubic(double x) {
    constexpr double a = -0.5;
    x = std::abs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

uint8_t clip(int32_t sum) {
    return static_cast<uint8_t>(std::clamp(sum >> kPrecision, 0, 255));
}

}  // namespace

Taps::Taps(int from, int to) {
    const double scale = static_cast<double>(from) / to;
    const double filter_scale = std::max(scale, 1.0), support = 2.0 * filter_scale;
    taps = static_cast<int>(std::ceil(support)) * 2 + 1;
    first.resize(static_cast<size_t>(to));
    weights.assign(static_cast<size_t>(to) * static_cast<size_t>(taps), 0);
    std::vector<double> exact(static_cast<size_t>(taps));
    for (int i = 0; i < to; ++i) {
        const double center = (i + 0.5) * scale;
        const int low = std::max(static_cast<int>(center - support + 0.5), 0);
        const int high = std::min(static_cast<int>(center + support + 0.5), from);
        double total = 0;
        for (int k = 0; k < high - low; ++k) {
            exact[static_cast<size_t>(k)] = bicubic((k + low - center + 0.5) * (1.0 / filter_scale));
            total += exact[static_cast<size_t>(k)];
        }
        for (int k = 0; k < high - low; ++k) {
            const double weight = exact[static_cast<size_t>(k)] * (1.0 / total) * (1 << kPrecision);
            weights[static_cast<size_t>(i) * static_cast<size_t>(taps) + static_cast<size_t>(k)] =
                static_cast<int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5);
        }
        // All outputs read `taps` samples: where the picture ends sooner, they begin further left, behind zeros.
        const int begin = std::max(std::min(low, from - taps), 0);
        int32_t* own = weights.data() + static_cast<size_t>(i) * static_cast<size_t>(taps);
        std::rotate(own, own + taps - (low - begin), own + taps);
        first[static_cast<size_t>(i)] = begin;
    }
}

void Enlarger::enlarge(const uint8_t* source, ptrdiff_t source_stride, int width, int height, uint8_t* target,
                       ptrdiff_t target_stride, int target_width, int target_height) {
    if (width != width_ || height != height_ || target_width != target_width_ || target_height != target_height_) {
        width_ = 0;  // until all of it is there
        across_ = Taps(width, target_width);
        down_ = Taps(height, target_height);
        rows_.resize(static_cast<size_t>(target_width) * static_cast<size_t>(height));
        width_ = width;
        height_ = height;
        target_width_ = target_width;
        target_height_ = target_height;
    }
    const int taps = across_.taps;
    for (int y = 0; y < height; ++y) {
        const uint8_t* row = source + y * source_stride;
        uint8_t* out = rows_.data() + static_cast<size_t>(y) * static_cast<size_t>(target_width);
        const int32_t* weights = across_.weights.data();
        for (int x = 0; x < target_width; ++x, weights += taps) {
            const uint8_t* samples = row + across_.first[static_cast<size_t>(x)];
            int32_t sum = 1 << (kPrecision - 1);
            if (taps == 5) {
                for (int k = 0; k < 5; ++k) sum += samples[k] * weights[k];
            } else {
                for (int k = 0; k < taps; ++k) sum += samples[k] * weights[k];
            }
            out[x] = clip(sum);
        }
    }
    for (int y = 0; y < target_height; ++y) {
        const int32_t* weights = down_.weights.data() + static_cast<size_t>(y) * static_cast<size_t>(down_.taps);
        const uint8_t* rows =
            rows_.data() + static_cast<size_t>(down_.first[static_cast<size_t>(y)]) * static_cast<size_t>(target_width);
        uint8_t* out = target + y * target_stride;
        const ptrdiff_t next = target_width;
        if (down_.taps == 5) {
            const int32_t a = weights[0], b = weights[1], c = weights[2], d = weights[3], e = weights[4];
            for (int x = 0; x < target_width; ++x) {
                out[x] = clip((1 << (kPrecision - 1)) + rows[x] * a + rows[x + next] * b + rows[x + 2 * next] * c +
                              rows[x + 3 * next] * d + rows[x + 4 * next] * e);
            }
        } else {
            for (int x = 0; x < target_width; ++x) {
                int32_t sum = 1 << (kPrecision - 1);
                for (int k = 0; k < down_.taps; ++k) sum += rows[x + k * next] * weights[k];
                out[x] = clip(sum);
            }
        }
    }
}

}  // namespace acutance
