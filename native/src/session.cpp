#include "session.h"

#include <algorithm>
#include <cstring>
#include <utility>

using namespace acutance;

namespace {

constexpr int kPoorFrames = 2, kRestFrames = 8, kPoorShare = 16;

}  // namespace

void acutance_session::process(const Picture& picture, const acutance_format& format_, double strength_) {
    Workers& workers = engine.workers();
    const std::lock_guard<std::mutex> lock(workers.turn);
    if (!started || format_.width != format.width || format_.height != format.height ||
        format_.bit_depth != format.bit_depth || format_.full_range != format.full_range || strength_ != strength) {
        begin(format_, strength_);
    }
    started = false;  // until the frame is done: after an exception the next one starts afresh
    sharpen(workers, picture);
    started = true;
}

void acutance_session::begin(const acutance_format& format_, double strength_) {
    grid = TileGrid::over(format_.width, format_.height, engine.network.unshuffle());
    const size_t tiles = static_cast<size_t>(grid.count());
    computed.assign(tiles, 0);
    chosen.assign(tiles, 0);
    wanted.assign(tiles, 0);
    affected.assign(tiles, 1);
    activity.assign(tiles, 0);
    changed.assign(static_cast<size_t>(grid.cell_columns) * static_cast<size_t>(grid.cell_rows), 1);
    remembers = false;
    poor = rest = 0;
    format = format_;
    strength = strength_;
}

void acutance_session::sharpen(Workers& workers, const Picture& picture) {
    if (strength == 0.0) {
        copy_rows(picture);
        std::fill(computed.begin(), computed.end(), uint8_t{0});
        counts = {grid.count(), 0, grid.count(), 0};
        return;
    }
    const bool choosing = options.threshold > 0 || options.tile_budget > 0 || options.time_budget > 0;
    const bool resting = options.reuse != 0 && rest > 0;
    const bool comparing = options.reuse != 0 && !resting;
    if (resting) --rest;
    if (!comparing) remembers = false;
    if (!choosing && !comparing) {
        engine.render(workers, picture, nullptr);
        std::fill(computed.begin(), computed.end(), uint8_t{1});
        counts = {grid.count(), grid.count(), 0, 0};
        return;
    }
    const double began = seconds_now();
    look(workers, picture, choosing, comparing);
    decide(choosing);
    const double decided = seconds_now();
    const TileMask mask{grid.side / engine.network.unshuffle(), grid.columns, grid.rows, wanted.data()};
    Picture kept_too = picture;
    if (comparing) kept_too.kept = kept.data();
    if (counts.computed > 0) engine.render(workers, kept_too, counts.computed == counts.tiles ? nullptr : &mask);
    const double rendered = seconds_now();
    if (counts.computed < counts.tiles) fill(workers, picture);
    if (remembers) rest_or_not();
    remembers = comparing;
    std::swap(computed, chosen);
    if (counts.computed > 0) {
        const double each = (rendered - decided) / counts.computed;
        seconds_per_tile = seconds_per_tile > 0 ? 0.75 * seconds_per_tile + 0.25 * each : each;
    } else {
        seconds_per_tile *= 0.9;  // nothing new was measured: one slow frame must not rule for ever
    }
    overhead = seconds_now() - rendered + decided - began;
}

// Activity, a row of tiles at a time; changes, a row of cells at a time.
void acutance_session::look(Workers& workers, const Picture& picture, bool choosing, bool comparing) {
    const size_t plane = static_cast<size_t>(picture.width) * static_cast<size_t>(picture.height) *
                         static_cast<size_t>(picture.sample_bytes());
    if (comparing && before.size() != plane) {
        kept.assign(plane, 0);
        before.assign(plane, 0);  // last: its size is what is looked at
        remembers = false;
    }
    scratch.resize(static_cast<size_t>(workers.pool.threads()));
    const int parts = std::min(grid.rows, 4 * workers.pool.threads());
    workers.pool.run(parts, [&](int worker, int part) {
        const auto rows_of = [&](int rows) { return Span{rows * part / parts, rows * (part + 1) / parts}; };
        const Span tiles = rows_of(grid.rows), cells = rows_of(grid.cell_rows);
        for (int row = tiles.begin; choosing && row < tiles.end; ++row) {
            measure_activity(engine.kernels, picture, grid, row, activity.data() + row * grid.columns,
                             scratch[static_cast<size_t>(worker)]);
        }
        for (int row = cells.begin; comparing && row < cells.end; ++row) {
            find_changes(picture, grid, row, before.data(), changed.data() + row * grid.cell_columns);
        }
    });
}

// chosen: has to be sharp; wanted: has to be computed for it.
void acutance_session::decide(bool choosing) {
    if (choosing) {
        choose_tiles(activity, computed, format.bit_depth, options.threshold, limit(), chosen);
    } else {
        std::fill(chosen.begin(), chosen.end(), uint8_t{1});
    }
    wanted = chosen;
    counts = {grid.count(), 0, 0, 0};
    if (remembers) {
        spread_changes(grid, changed, engine.network.unshuffle() * engine.network.depth(), affected);
        for (size_t i = 0; i < wanted.size(); ++i) {
            if (chosen[i] != 0 && computed[i] != 0 && affected[i] == 0) wanted[i] = 0;
        }
    }
    for (size_t i = 0; i < wanted.size(); ++i) {
        ++(wanted[i] != 0 ? counts.computed : chosen[i] != 0 ? counts.reused : counts.passed);
    }
}

int acutance_session::limit() const {
    double tiles = grid.count();
    if (options.tile_budget > 0) tiles = std::min(tiles, options.tile_budget * grid.count());
    if (options.time_budget > 0 && seconds_per_tile > 0) {
        tiles = std::min(tiles, std::max(0.0, options.time_budget - overhead) / seconds_per_tile);
    }
    return static_cast<int>(tiles);
}

// Comparing and keeping cost a few percent of computing. Where hardly anything is ever the same, as with noise, they
// are left out most of the time.
void acutance_session::rest_or_not() {
    poor = counts.reused * kPoorShare < counts.computed + counts.reused ? poor + 1 : 0;
    if (poor >= kPoorFrames) {
        rest = kRestFrames;
        poor = kPoorFrames - 1;  // one more is enough next time
    }
}

// What was not computed: tiles that pass through, and those that are as they were.
void acutance_session::fill(Workers& workers, const Picture& picture) {
    const size_t sample = static_cast<size_t>(picture.sample_bytes());
    const size_t row_bytes = static_cast<size_t>(picture.width) * sample;
    const size_t tile_bytes = static_cast<size_t>(grid.side) * sample;
    enum State { kComputed, kReused, kPassed };
    const auto state = [this](size_t tile) {
        return wanted[tile] != 0 ? kComputed : chosen[tile] != 0 ? kReused : kPassed;
    };
    const int parts = std::min(grid.rows, 4 * workers.pool.threads());
    workers.pool.run(parts, [&](int, int part) {
        for (int row = grid.rows * part / parts; row < grid.rows * (part + 1) / parts; ++row) {
            const size_t first = static_cast<size_t>(row) * static_cast<size_t>(grid.columns);
            const int last_line = std::min((row + 1) * grid.side, picture.height);
            for (int column = 0; column < grid.columns;) {
                const int run = column;
                const State what = state(first + static_cast<size_t>(column));
                while (column < grid.columns && state(first + static_cast<size_t>(column)) == what) ++column;
                if (what == kComputed) continue;
                const size_t begin = static_cast<size_t>(run) * tile_bytes;
                const size_t count = std::min(static_cast<size_t>(column) * tile_bytes, row_bytes) - begin;
                for (int y = row * grid.side; y < last_line; ++y) {
                    const uint8_t* from = what == kPassed ? picture.luma_row<uint8_t>(y)
                                                          : kept.data() + static_cast<size_t>(y) * row_bytes;
                    std::memcpy(picture.out_row<uint8_t>(y) + begin, from + begin, count);
                }
            }
        }
    });
}
