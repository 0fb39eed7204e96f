// Bicubic enlargement of a plane of 8 bits, bit for bit that of Pillow, which made what the students were trained on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace acutance {

// Weights of one direction: `taps` neighbouring samples from first[i] on make output i (Pillow: Resample.c).
struct Taps {
    int taps = 0;
    std::vector<int> first;
    std::vector<int32_t> weights;  // [output][taps], times 2^22; zero beyond what an output needs

    Taps() = default;
    Taps(int from, int to);
};

// Keeps the weights and the intermediate rows of one pair of sizes.
class Enlarger {
public:
    void enlarge(const uint8_t* source, ptrdiff_t source_stride, int width, int height, uint8_t* target,
                 ptrdiff_t target_stride, int target_width, int target_height);

private:
    int width_ = 0, height_ = 0, target_width_ = 0, target_height_ = 0;
    Taps across_, down_;
    std::vector<uint8_t> rows_;  // the source at the target's width
};

}  // namespace acutance
