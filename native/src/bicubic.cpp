#include "bicubic.h"

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>

namespace acutance {
namespace {

// Twice the cube of u times Keys' cubic filter with a = -0.5, at a distance of t / u samples.
int64_t cubic(int64_t t, int64_t u) {
    if (t < u) return 3 * t * t * t - 5 * t * t * u + 2 * u * u * u;
    if (t < 2 * u) return -t * t * t + 5 * t * t * u - 8 * t * u * u + 4 * u * u * u;
    return 0;
}

int floor_divided(int value, int divisor) {
    return value >= 0 ? value / divisor : -((divisor - 1 - value) / divisor);
}

}  // namespace

Taps find_taps(int index, int length, int unshuffle, int shuffle, int bits) {
    const int centre = (2 * index + 1) * unshuffle;  // in units of 1 / (2 * shuffle) samples
    Taps taps{};
    taps.first = floor_divided(centre - 3 * shuffle, 2 * shuffle);
    int64_t exact[4], sum = 0;
    for (int j = 0; j < 4; ++j) {
        const int sample = taps.first + j;
        const bool inside = sample >= 0 && sample < length;
        exact[j] = inside ? cubic(std::abs(centre - (2 * sample + 1) * shuffle), 2 * shuffle) : 0;
        sum += exact[j];
    }
    const int64_t one = int64_t{1} << (kSumBits - bits);
    for (int j = 0; j < 4; ++j) {
        const int64_t size = (2 * std::abs(exact[j]) * one + sum) / (2 * sum);  // to nearest, halves away from zero
        taps.weights[j] = static_cast<int32_t>(exact[j] < 0 ? -size : size);
    }
    return taps;
}

void Bicubic::reserve(const Picture& picture, int widest) {
    if (unshuffle_ == shuffle_ || picture.kind == Kind::kActivations) return;
    const size_t slots = static_cast<size_t>(unshuffle_) + 4;  // the input rows that a row of pixels depends on
    const size_t needed = slots * static_cast<size_t>(shuffle_) * static_cast<size_t>(widest) *
                          static_cast<size_t>(picture.sample_bytes());
    if (memory_.size() < needed) memory_.resize(needed);
    row_in_slot_.resize(slots, -1);
    spans_.reserve(static_cast<size_t>(widest));
    phases_.resize(static_cast<size_t>(shuffle_));
}

void Bicubic::begin(const Picture& picture, int left, int right) {
    left_ = left;
    plane_ = static_cast<ptrdiff_t>(right - left) * picture.sample_bytes();
    std::fill(row_in_slot_.begin(), row_in_slot_.end(), -1);
    spans_.clear();
    for (int phase = 0; phase < shuffle_; ++phase) {
        constexpr int away = 8;  // pixels from the side, which the taps do not reach
        Taps& taps = phases_[static_cast<size_t>(phase)];
        taps = find_taps(away * shuffle_ + phase, INT_MAX, unshuffle_, shuffle_, picture.samples.bits);
        taps.first -= away * unshuffle_;  // from the pixel's first sample
    }
}

void Bicubic::widen(const Picture& picture, int row, Span span, uint8_t* out) const {
    const int out_width = picture.out_width, width = picture.width, bytes = picture.sample_bytes();
    const uint8_t* codes = picture.luma_row<uint8_t>(row);
    for (int phase = 0; phase < shuffle_; ++phase, out += plane_) {
        const Taps& taps = phases_[static_cast<size_t>(phase)];
        // Pixels whose four samples lie in the picture, and that lie in the output.
        const int end = std::min(span.end, (out_width - phase + shuffle_ - 1) / shuffle_);
        const int first = std::max(span.begin, -floor_divided(taps.first, unshuffle_));
        const int last = std::min(end, floor_divided(width - 4 - taps.first, unshuffle_) + 1);
        const auto at = [&](int x) { return out + static_cast<ptrdiff_t>(x - left_) * bytes; };
        const auto at_side = [&](int x) {
            const Taps side = find_taps(x * shuffle_ + phase, width, unshuffle_, shuffle_, picture.samples.bits);
            uint16_t near[4];  // of samples outside of the picture anything
            for (int j = 0; j < 4; ++j) {
                const int sample = std::clamp(side.first + j, 0, width - 1);
                near[j] = bytes == 1 ? codes[sample] : reinterpret_cast<const uint16_t*>(codes)[sample];
            }
            uint16_t value;
            kernels_.widen16(picture.samples, near, 1, side.weights, &value, 1);
            if (bytes == 1) {
                *at(x) = static_cast<uint8_t>(value);
            } else {
                std::memcpy(at(x), &value, sizeof value);
            }
        };
        for (int x = span.begin; x < std::min(first, end); ++x) at_side(x);
        if (first < last) {
            const ptrdiff_t from = static_cast<ptrdiff_t>(first) * unshuffle_ + taps.first;
            if (bytes == 1) {
                kernels_.widen8(picture.samples, codes + from, unshuffle_, taps.weights, at(first), last - first);
            } else {
                kernels_.widen16(picture.samples, reinterpret_cast<const uint16_t*>(codes) + from, unshuffle_,
                                 taps.weights, reinterpret_cast<uint16_t*>(at(first)), last - first);
            }
        }
        for (int x = std::max({first, last, span.begin}); x < end; ++x) at_side(x);
    }
}

// Returns a row of the input that is as wide as the output.
uint8_t* Bicubic::widened(const Picture& picture, int row, const std::vector<Span>& spans) {
    const size_t slot = static_cast<size_t>(row) % row_in_slot_.size();
    uint8_t* memory = memory_.data() + static_cast<ptrdiff_t>(slot) * shuffle_ * plane_;
    if (row_in_slot_[slot] != row) {
        for (const Span span : spans) widen(picture, row, span, memory);
        row_in_slot_[slot] = row;
    }
    return memory;
}

void Bicubic::emit(const Picture& picture, int y, const std::vector<Span>& spans, const int16_t* residual,
                   ptrdiff_t plane) {
    const auto same = [](Span one, Span other) { return one.begin == other.begin && one.end == other.end; };
    if (!std::equal(spans.begin(), spans.end(), spans_.begin(), spans_.end(), same)) {
        spans_ = spans;
        std::fill(row_in_slot_.begin(), row_in_slot_.end(), -1);
    }
    const int bytes = picture.sample_bytes();
    for (int dy = 0; dy < shuffle_; ++dy) {
        const int line = y * shuffle_ + dy;
        if (line >= picture.out_height) return;
        const Taps taps = find_taps(line, picture.height, unshuffle_, shuffle_, picture.samples.bits);
        const uint8_t* rows[4];
        for (int j = 0; j < 4; ++j)
            rows[j] = widened(picture, std::clamp(taps.first + j, 0, picture.height - 1), spans);
        EnlargedRow row{};
        std::copy(taps.weights, taps.weights + 4, row.weights);
        row.plane = plane_ / bytes;
        row.residual_plane = plane;
        row.first_channel = dy * shuffle_;
        row.phases = shuffle_;
        for (const Span span : spans) {
            const ptrdiff_t from = span.begin - left_;
            for (int j = 0; j < 4; ++j) row.rows[j] = rows[j] + from * bytes;
            row.residual = residual == nullptr ? nullptr : residual + 2 * from;
            const int begin = span.begin * shuffle_, count = std::min(span.end * shuffle_, picture.out_width) - begin;
            if (count <= 0) continue;
            uint8_t* out = picture.out_row<uint8_t>(line) + static_cast<ptrdiff_t>(begin) * bytes;
            if (bytes == 1) {
                kernels_.enlarge8(picture.samples, row, out, count);
            } else {
                kernels_.enlarge16(picture.samples, row, reinterpret_cast<uint16_t*>(out), count);
            }
            copy_row(picture, line, begin, count);
        }
    }
}

}  // namespace acutance
