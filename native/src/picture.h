// A plane as the caller has it, and its way into and out of activations.
#pragma once

#include <cstddef>
#include <cstdint>

#include "acutance.h"
#include "kernels.h"

namespace acutance {

struct Span {
    int begin, end;
};

enum class Kind { kCodes8, kCodes16, kActivations };  // the last: int16 in, the bare residual out

struct Picture {
    Kind kind;
    int width, height;
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

// Pixels [begin, end) of row y as activations; past the picture's right and bottom edge its last pixels repeat.
void load_row(const Kernels& kernels, const Picture& picture, int y, int begin, int end, int16_t* activations);

// Pixels [begin, end) of row y from their residuals; what lies outside the picture is left out.
void emit_row(const Kernels& kernels, const Picture& picture, int y, int begin, int end, const int16_t* residual);

}  // namespace acutance
