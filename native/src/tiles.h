// Which tiles of a frame are worth computing (docs/engine.md, "Tiles").
#pragma once

#include <cstdint>
#include <vector>

#include "picture.h"

namespace acutance {

constexpr int kCell = 4;  // pixels: the side of the squares in which changes are looked for

struct TileGrid {
    int side = 0;  // pixels
    int columns = 0, rows = 0;
    int cell_columns = 0, cell_rows = 0;

    static TileGrid over(int width, int height, int unshuffle);
    int count() const { return columns * rows; }
};

// A picture row of activities to work in.
struct ActivityRow {
    std::vector<int16_t> of8;
    std::vector<int32_t> of16;
};

// The activity of one row of tiles: the largest |4c - left - right - above - below| of each.
void measure_activity(const Kernels& kernels, const Picture& picture, const TileGrid& grid, int tile_row,
                      int32_t* activity, ActivityRow& row);

// Compares one row of cells with `before` (the last frame's samples, without gaps between rows), marks which cells
// differ and brings `before` up to date.
void find_changes(const Picture& picture, const TileGrid& grid, int cell_row, uint8_t* before, uint8_t* changed);

// The tiles to compute: those whose level reaches the threshold, or as many of the highest levels as the limit admits;
// of the level that it admits in part, first those computed in the last frame, then the others, row by row.
// was_computed: 0 or 1 each; level = (activity + activity / 4 where it was) >> (bits - 8).
void choose_tiles(const std::vector<int32_t>& activity, const std::vector<uint8_t>& was_computed, int bits,
                  int threshold, int limit, std::vector<uint8_t>& chosen);

// Marks every tile with a changed cell within `radius` pixels, which is how far it sees.
void spread_changes(const TileGrid& grid, const std::vector<uint8_t>& changed, int radius,
                    std::vector<uint8_t>& affected);

}  // namespace acutance
