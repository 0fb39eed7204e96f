// The whole network over a part of the picture, row by row.
//
// Each layer keeps the last four rows of its input, and makes two rows at a time. Two rows (of the unshuffled picture)
// further down, the first layer can make two, then the second two of which the upper one lies above those, and so on:
// everything stays in the second-level cache, and no layer computes a row twice. At the part's sides (and top and
// bottom) each layer computes as much more than the next as a 3x3 convolution looks around.
#pragma once

#include <cstdint>
#include <vector>

#include "network.h"
#include "parts.h"
#include "picture.h"

namespace acutance {

// One thread's working memory.
class Renderer {
public:
    Renderer(const Network& network, const Kernels& kernels) : network_(network), kernels_(kernels) {}

    // Computes a part's pixels and writes them to the picture's output; with a mask, only those of the wanted tiles.
    void render(const Picture& picture, Part& part, const TileMask* mask);

    // Bytes of working memory for each unshuffled pixel of a part's width.
    static int bytes_per_column(const Network& network);

private:
    // The rows that a layer reads, or (the last one) the residual.
    struct Ring {
        int planes = 0;
        std::vector<int16_t> memory;                  // [4 rows][planes][stride]
        std::vector<Span> spans;                      // of the two rows being made
        int first_tile_row = -1, last_tile_row = -1;  // what spans were made from
    };

    void prepare(const Picture& picture, const Part& part);
    int16_t* row(int ring, int y);                 // its first plane, from pixel origin_ on
    const int16_t* row_or_zeros(int ring, int y);  // zeros above and below the picture
    ptrdiff_t at(int x) const { return 2 * static_cast<ptrdiff_t>(x - origin_); }  // where pixel x lies in a plane
    // These are about rows y and y + 1, of which one may lie outside the part or the picture.
    bool find_spans(int ring, int y, const TileMask* mask);
    void load(const Picture& picture, int y);
    void convolve(int layer, int y);
    void emit(const Picture& picture, int y);
    void close_edges(int ring, int y);

    const Network& network_;
    const Kernels& kernels_;
    std::vector<Ring> rings_;
    std::vector<int16_t> zeros_, line_, scratch_;
    int left_ = 0, top_ = 0, right_ = 0, bottom_ = 0;  // of the part; the bottom may move up
    int width_ = 0, height_ = 0;                       // of the unshuffled picture
    int origin_ = 0;                                   // the pixel at the start of a plane
    ptrdiff_t plane_ = 0;                              // int16s from plane to plane
};

}  // namespace acutance
