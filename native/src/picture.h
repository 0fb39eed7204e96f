// The caller's planes, and the conversion of their samples to and from activations.
#pragma once

#include <cstddef>
#include <cstdint>

#include "acutance.h"
#include "kernels.h"

namespace acutance {

struct Span {
    int begin, end;
};

enum class Kind { kCodes8, kCodes16, kActivations };  // kActivations: int16 in, the residual alone out

struct Picture {
    Kind kind;
    int width, height;
    int out_width, out_height;
    Samples samples;  // unused for kActivations
    const uint8_t* luma;
    uint8_t* out;
    ptrdiff_t luma_stride, out_stride;  // bytes
    uint8_t* copy = nullptr;            // if given, receives what is computed too, without gaps between rows

    int sample_bytes() const { return kind == Kind::kCodes8 ? 1 : 2; }
    template <class T>
    const T* luma_row(int y) const {
        return reinterpret_cast<const T*>(luma + y * luma_stride);
    }
    template <class T>
    T* out_row(int y) const {
        return reinterpret_cast<T*>(out + y * out_stride);
    }
};

// docs/engine.md, "From luma to activations" and "From residual to luma".
Samples make_samples(const acutance_format& format, double strength);

// Loads pixels [begin, end) of row y as activations. Past the right and bottom edge of the picture its last pixels
// repeat.
void load_row(const Kernels& kernels, const Picture& picture, int y, int begin, int end, int16_t* activations);

// Writes samples [begin, end) of output row y from their residuals, except those that lie outside of the output.
void emit_row(const Kernels& kernels, const Picture& picture, int y, int begin, int end, const int16_t* residual);

// Copies `count` samples of output row y to picture.copy, if there is one.
void copy_row(const Picture& picture, int y, int begin, int count);

}  // namespace acutance
