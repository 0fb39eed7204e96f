// The bicubic enlargement that an upscaler adds its residual to (docs/engine.md, "Enlargement").
#pragma once

#include <cstdint>
#include <vector>

#include "network.h"
#include "picture.h"

namespace acutance {

// How one output sample is made of four neighbouring input samples. Samples outside of the line have a weight of zero.
struct Taps {
    int first;  // the first input sample; it may lie outside of the line
    int32_t weights[4];
};

// Returns the taps of output sample `index` of a line of `length` input samples, enlarged by shuffle / unshuffle.
Taps find_taps(int index, int length, int unshuffle, int shuffle, int bits);

// Makes rows of the output, from top to bottom. A pixel is an unshuffled pixel, as in Renderer: `unshuffle` input
// samples and `shuffle` output samples on a side. One thread's working memory.
class Bicubic {
public:
    Bicubic(const Network& network, const Kernels& kernels)
        : unshuffle_(network.unshuffle()), shuffle_(network.shuffle()), kernels_(kernels) {}

    // Allocates the memory for parts of up to `widest` pixels.
    void reserve(const Picture& picture, int widest);

    // Begins with a part whose pixels are left to right - 1.
    void begin(const Picture& picture, int left, int right);

    // Writes the output rows of pixel row y, within the spans. residual: where the residual of the row's pixel `left`
    // lies, as pairs of channels in planes of `plane` int16s; nullptr for the enlargement alone.
    void emit(const Picture& picture, int y, const std::vector<Span>& spans, const int16_t* residual, ptrdiff_t plane);

private:
    uint8_t* widened(const Picture& picture, int row, const std::vector<Span>& spans);
    void widen(const Picture& picture, int row, Span span, uint8_t* out) const;

    const int unshuffle_, shuffle_;
    const Kernels& kernels_;
    std::vector<uint8_t> memory_;  // [slots][shuffle][columns] samples: rows that are as wide as the output
    std::vector<int> row_in_slot_;
    std::vector<Span> spans_;   // where the rows in memory are made
    std::vector<Taps> phases_;  // taps of the output samples of a pixel away from the picture's sides
    int left_ = 0;
    ptrdiff_t plane_ = 0;  // bytes
};

}  // namespace acutance
