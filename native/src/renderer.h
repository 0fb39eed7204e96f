// Runs the whole network over a part of the picture, row by row.
//
// Each layer keeps the last four rows of its input and makes two rows at a time. Two rows (of the unshuffled picture)
// further down, the first layer can make two, then the second layer two of which the upper one lies above those, and so
// on. Everything stays in the second-level cache, and no layer computes a row twice. At the sides, top and bottom of a
// part, each layer computes one pixel more than the next one needs, because a 3x3 convolution sees its neighbours.
#pragma once

#include <cstdint>
#include <vector>

#include "bicubic.h"
#include "network.h"
#include "parts.h"
#include "picture.h"

namespace acutance {

// One thread's working memory.
class Renderer {
public:
    Renderer(const Network& network, const Kernels& kernels)
        : network_(&network), kernels_(kernels), bicubic_(network, kernels) {}

    // Uses another network of the same shape from now on.
    void use(const Network& network) { network_ = &network; }

    // Allocates the memory for parts of this picture of up to `widest` unshuffled pixels: before render, and not by a
    // thread of its own, so that a later frame allocates nothing.
    void reserve(const Picture& picture, int widest);
    void reserve_to_enlarge(const Picture& picture, int widest);  // for enlarge() alone

    // Computes a part's pixels and writes them to the picture's output; with a mask, only those of the wanted tiles.
    void render(const Picture& picture, Part& part, const TileMask* mask);

    // The spans that enlarge() writes.
    std::vector<Span>& spans() { return spans_; }

    // Writes the enlargement alone, in the spans() of pixel rows [begin, end) of a picture of `columns` pixels.
    void enlarge(const Picture& picture, int begin, int end, int columns);

    // Returns the bytes of working memory per unshuffled pixel of a part's width.
    static int bytes_per_column(const Network& network);

private:
    // The last rows of a layer's input or, in the last ring, of the residual.
    struct Ring {
        int planes = 0;
        std::vector<int16_t> memory;                  // [4 rows][planes][stride]
        std::vector<Span> spans;                      // of the two rows being made
        int first_tile_row = -1, last_tile_row = -1;  // what spans were made from
    };

    int columns_of(int pixels) const;        // pixels of memory for a part of that width
    static ptrdiff_t plane_of(int columns);  // int16s from plane to plane
    void prepare(const Picture& picture, const Part& part);
    int16_t* row(int ring, int y);                 // its first plane, from pixel origin_ on
    const int16_t* row_or_zeros(int ring, int y);  // zeros above and below the picture
    ptrdiff_t at(int x) const { return 2 * static_cast<ptrdiff_t>(x - origin_); }  // where pixel x lies in a plane
    // The following work on rows y and y + 1, of which one may lie outside the part or the picture.
    bool find_spans(int ring, int y, const TileMask* mask);
    void load(const Picture& picture, int y);
    void convolve(int layer, int y);
    void emit(const Picture& picture, int y);
    void close_edges(int ring, int y);

    const Network* network_;
    const Kernels& kernels_;
    Bicubic bicubic_;
    std::vector<Ring> rings_;
    std::vector<int16_t> zeros_, line_, scratch_;
    std::vector<Span> spans_;
    int left_ = 0, top_ = 0, right_ = 0, bottom_ = 0;  // of the part; the bottom may move up
    int width_ = 0, height_ = 0;                       // of the unshuffled picture
    int origin_ = 0;                                   // the pixel at the start of a plane
    ptrdiff_t plane_ = 0;                              // int16s from plane to plane
};

}  // namespace acutance
