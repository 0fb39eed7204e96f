// Which tiles of a frame are worth computing (docs/engine.md, "Tiles").
#pragma once

#include <cstdint>
#include <vector>

#include "picture.h"

namespace acutance {

constexpr int kCell = 4;  // pixels: the side of the squares in which a session looks for changes

struct TileGrid {
    int side = 0;  // pixels
    int columns = 0, rows = 0;
    int cell_columns = 0, cell_rows = 0;

    static TileGrid over(int width, int height, int unshuffle);
    int count() const { return columns * rows; }
};

// Working memory for the activities of one picture row.
struct ActivityRow {
    std::vector<int16_t> of8;
    std::vector<int32_t> of16;
};

// Measures the activity of one row of tiles: the largest |4c - left - right - above - below| of each tile's pixels.
void measure_activity(const Kernels& kernels, const Picture& picture, const TileGrid& grid, int tile_row,
                      int32_t* activity, ActivityRow& row);

// Compares one row of cells with `before` (the last frame's samples, without gaps between rows), marks the cells that
// differ, and updates `before`.
void find_changes(const Picture& picture, const TileGrid& grid, int cell_row, uint8_t* before, uint8_t* changed);

// Chooses the tiles to compute: those whose level reaches the threshold, or as many of the highest levels as the limit
// admits. If the limit admits a part of a level, tiles that were computed in the last frame come first, then the
// others, row by row. was_computed: 0 or 1 each. The level is the activity, plus a quarter of it for a tile that was
// computed, shifted right by bits - 8.
void choose_tiles(const std::vector<int32_t>& activity, const std::vector<uint8_t>& was_computed, int bits,
                  int threshold, int limit, std::vector<uint8_t>& chosen);

// Marks every tile whose result depends on a changed cell, which is one within `radius` pixels. across and sums:
// working memory of [cell rows][tile columns] and one more than the cell columns.
void spread_changes(const TileGrid& grid, const std::vector<uint8_t>& changed, int radius, std::vector<uint8_t>& across,
                    std::vector<int>& sums, std::vector<uint8_t>& affected);

}  // namespace acutance
