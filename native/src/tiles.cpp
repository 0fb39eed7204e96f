#include "tiles.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

namespace acutance {
namespace {

constexpr int kLevels = 4 * 256 * 5 / 4 + 1;  // levels are below this, for any bit depth

template <class Code>
int laplacian_size(int top, const Code* above, const Code* here, const Code* below, int x, int width) {
    const auto code = [top](Code value) { return std::min(static_cast<int>(value), top); };
    return std::abs(4 * code(here[x]) - code(here[std::max(x - 1, 0)]) - code(here[std::min(x + 1, width - 1)]) -
                    code(above[x]) - code(below[x]));
}

template <class Code, class Largest, class Row>
void measure(const Picture& picture, const TileGrid& grid, int tile_row, int32_t* activity,
             std::vector<Largest>& largest, Row&& inner) {
    const int width = picture.width, height = picture.height;
    largest.assign(static_cast<size_t>(width), 0);
    const int last = std::min((tile_row + 1) * grid.side, height);
    for (int y = tile_row * grid.side; y < last; ++y) {
        const Code* above = picture.luma_row<Code>(std::max(y - 1, 0));
        const Code* here = picture.luma_row<Code>(y);
        const Code* below = picture.luma_row<Code>(std::min(y + 1, height - 1));
        if (width > 2) inner(above + 1, here + 1, below + 1, largest.data() + 1, width - 2);
        for (const int x : {0, width - 1}) {  // at the edge, a pixel is its own neighbour
            const int size = laplacian_size(picture.samples.top, above, here, below, x, width);
            Largest& most = largest[static_cast<size_t>(x)];
            most = std::max(most, static_cast<Largest>(size));
        }
    }
    for (int column = 0; column < grid.columns; ++column) {
        const int end = std::min((column + 1) * grid.side, width);
        activity[column] = *std::max_element(largest.begin() + column * grid.side, largest.begin() + end);
    }
}

// Marks the words that differ. A word is a row of a cell.
template <class Word>
void mark_differences(const uint8_t* now, const uint8_t* then, size_t count, uint8_t* changed) {
    for (size_t i = 0; i < count; ++i) {
        Word one, other;
        std::memcpy(&one, now + i * sizeof(Word), sizeof(Word));
        std::memcpy(&other, then + i * sizeof(Word), sizeof(Word));
        changed[i] = static_cast<uint8_t>(changed[i] | (one != other ? 1 : 0));
    }
}

}  // namespace

TileGrid TileGrid::over(int width, int height, int unshuffle) {
    const int side = unshuffle * ((16 + unshuffle - 1) / unshuffle);
    const auto count = [](int length, int step) { return (length + step - 1) / step; };
    return TileGrid{side, count(width, side), count(height, side), count(width, kCell), count(height, kCell)};
}

void measure_activity(const Kernels& kernels, const Picture& picture, const TileGrid& grid, int tile_row,
                      int32_t* activity, ActivityRow& row) {
    if (picture.kind == Kind::kCodes8) {
        measure<uint8_t>(picture, grid, tile_row, activity, row.of8, kernels.activity8);
    } else {
        measure<uint16_t>(picture, grid, tile_row, activity, row.of16,
                          [&](auto above, auto here, auto below, auto largest, int count) {
                              kernels.activity16(picture.samples.top, above, here, below, largest, count);
                          });
    }
}

void find_changes(const Picture& picture, const TileGrid& grid, int cell_row, uint8_t* before, uint8_t* changed) {
    const size_t sample = static_cast<size_t>(picture.sample_bytes()), cell = kCell * sample;
    const size_t row_bytes = static_cast<size_t>(picture.width) * sample, whole = row_bytes / cell * cell;
    std::fill(changed, changed + grid.cell_columns, uint8_t{0});
    const int last = std::min((cell_row + 1) * kCell, picture.height);
    static_assert(kCell * sizeof(uint8_t) == sizeof(uint32_t), "a row of a cell is a word");
    for (int y = cell_row * kCell; y < last; ++y) {
        const uint8_t* now = picture.luma_row<uint8_t>(y);
        uint8_t* then = before + static_cast<size_t>(y) * row_bytes;
        if (std::memcmp(now, then, row_bytes) == 0) continue;
        if (sample == 1) {
            mark_differences<uint32_t>(now, then, whole / cell, changed);
        } else {
            mark_differences<uint64_t>(now, then, whole / cell, changed);
        }
        if (whole < row_bytes && std::memcmp(now + whole, then + whole, row_bytes - whole) != 0) {
            changed[grid.cell_columns - 1] = 1;
        }
        std::memcpy(then, now, row_bytes);
    }
}

void choose_tiles(const std::vector<int32_t>& activity, const std::vector<uint8_t>& was_computed, int bits,
                  int threshold, int limit, std::vector<uint8_t>& chosen) {
    const size_t count = activity.size();
    std::array<int, kLevels> tiles_at{};
    const auto level = [&](size_t i) {
        return std::min((activity[i] + (was_computed[i] != 0 ? activity[i] >> 2 : 0)) >> (bits - 8), kLevels - 1);
    };
    for (size_t i = 0; i < count; ++i) ++tiles_at[static_cast<size_t>(level(i))];
    int lowest = kLevels, admitted = 0;  // above every level: no tile is admitted yet
    while (lowest > std::min(threshold, kLevels) && admitted + tiles_at[static_cast<size_t>(lowest) - 1] <= limit) {
        --lowest;
        admitted += tiles_at[static_cast<size_t>(lowest)];
    }
    for (size_t i = 0; i < count; ++i) chosen[i] = level(i) >= lowest ? 1 : 0;
    if (lowest <= threshold) return;
    for (const bool before : {true, false}) {
        for (size_t i = 0; i < count && admitted < limit; ++i) {
            if (level(i) == lowest - 1 && (was_computed[i] != 0) == before) {
                chosen[i] = 1;
                ++admitted;
            }
        }
    }
}

void spread_changes(const TileGrid& grid, const std::vector<uint8_t>& changed, int radius, std::vector<uint8_t>& across,
                    std::vector<int>& sums, std::vector<uint8_t>& affected) {
    // The cells that tile `index` depends on, along one side of the picture.
    const auto seen = [&grid, radius](int index, int cells) {
        return Span{std::max(0, index * grid.side - radius) / kCell,
                    std::min(cells, ((index + 1) * grid.side + radius - 1) / kCell + 1)};
    };
    const size_t columns = static_cast<size_t>(grid.columns);
    across.assign(columns * static_cast<size_t>(grid.cell_rows), 0);
    sums.assign(static_cast<size_t>(grid.cell_columns) + 1, 0);  // changed cells left of each cell
    for (int row = 0; row < grid.cell_rows; ++row) {
        const uint8_t* cells = changed.data() + row * grid.cell_columns;
        for (size_t i = 0; i + 1 < sums.size(); ++i) sums[i + 1] = sums[i] + cells[i];
        if (sums.back() == 0) continue;
        for (int column = 0; column < grid.columns; ++column) {
            const Span span = seen(column, grid.cell_columns);
            across[static_cast<size_t>(row) * columns + static_cast<size_t>(column)] =
                sums[static_cast<size_t>(span.end)] > sums[static_cast<size_t>(span.begin)] ? 1 : 0;
        }
    }
    std::fill(affected.begin(), affected.end(), uint8_t{0});
    for (int row = 0; row < grid.rows; ++row) {
        uint8_t* tiles = affected.data() + row * grid.columns;
        const Span span = seen(row, grid.cell_rows);
        for (int cell_row = span.begin; cell_row < span.end; ++cell_row) {
            const uint8_t* line = across.data() + cell_row * grid.columns;
            for (size_t i = 0; i < columns; ++i) tiles[i] |= line[i];
        }
    }
}

}  // namespace acutance
