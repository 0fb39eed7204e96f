#include "session.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "error.h"

using namespace acutance;

namespace {

// After kUnrewarding compared frames in a row that could reuse less than 1/kShare of the tiles that they needed,
// kRest frames are not compared.
constexpr int kUnrewarding = 2, kRest = 8, kShare = 16;

}  // namespace

void acutance_session::process(const Picture& picture, const acutance_format& format_, double strength_) {
    Workers& workers = engine.workers();
    const std::lock_guard<std::mutex> lock(workers.turn);
    if (!started || format_.width != format.width || format_.height != format.height ||
        format_.bit_depth != format.bit_depth || format_.full_range != format.full_range || strength_ != strength) {
        begin(format_, strength_);
    }
    started = false;  // so that the next frame starts afresh if this one throws
    sharpen(workers, picture);
    started = true;
}

void acutance_session::set_network(Network network) {
    if (!network.same_shape(engine.network)) {
        throw Error(ACUTANCE_INVALID_ARGUMENT, "a model of another shape than the engine's");
    }
    own = std::make_unique<const Network>(std::move(network));
    renewal = 0;
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
    // Everything that a frame needs, so that later frames allocate nothing.
    across.reserve(static_cast<size_t>(grid.columns) * static_cast<size_t>(grid.cell_rows));
    sums.reserve(static_cast<size_t>(grid.cell_columns) + 1);
    activity_rows.resize(static_cast<size_t>(engine.threads));
    for (ActivityRow& row : activity_rows) {
        if (format_.bit_depth == 8) row.of8.reserve(static_cast<size_t>(format_.width));
        if (format_.bit_depth > 8) row.of16.reserve(static_cast<size_t>(format_.width));
    }
    remembers = false;
    unrewarding = rest = 0;
    renewal = kRenewalFrames;
    format = format_;
    strength = strength_;
}

void acutance_session::sharpen(Workers& workers, const Picture& picture) {
    if (strength == 0.0) {
        engine.pass(workers, picture);
        std::fill(computed.begin(), computed.end(), uint8_t{0});
        counts = {sizeof counts, grid.count(), 0, grid.count(), 0};
        return;
    }
    const bool choosing = options.threshold > 0 || options.tile_budget > 0 || options.time_budget > 0;
    const bool resting = options.reuse != 0 && rest > 0;
    const bool comparing = options.reuse != 0 && !resting;
    if (resting) --rest;
    if (!comparing) remembers = false;
    if (!choosing && !comparing) {
        engine.render(workers, network(), picture, nullptr);
        std::fill(computed.begin(), computed.end(), uint8_t{1});
        counts = {sizeof counts, grid.count(), grid.count(), 0, 0};
        return;
    }
    const double began = seconds_now();
    inspect(workers, picture, choosing, comparing);
    decide(choosing);
    const double decided = seconds_now();
    const TileMask mask{grid.side / engine.network.unshuffle(), grid.columns, grid.rows, wanted.data()};
    Picture remembered = picture;
    if (comparing) remembered.copy = last_out.data();
    if (counts.computed > 0)
        engine.render(workers, network(), remembered, counts.computed == counts.tiles ? nullptr : &mask);
    const double rendered = seconds_now();
    if (counts.computed < counts.tiles) fill(workers, picture);
    if (remembers) update_rest();
    remembers = comparing;
    std::swap(computed, chosen);
    if (counts.computed > 0) {
        const double each = (rendered - decided) / counts.computed;
        seconds_per_tile = seconds_per_tile > 0 ? 0.75 * seconds_per_tile + 0.25 * each : each;
    } else {
        seconds_per_tile *= 0.9;  // nothing was measured; this way one slow frame does not stop computing for good
    }
    overhead = seconds_now() - rendered + decided - began;
}

// Measures activity by rows of tiles, and finds changes by rows of cells.
void acutance_session::inspect(Workers& workers, const Picture& picture, bool choosing, bool comparing) {
    const auto bytes = [&picture](int width, int height) {
        return static_cast<size_t>(width) * static_cast<size_t>(height) * static_cast<size_t>(picture.sample_bytes());
    };
    if (comparing && last_in.size() != bytes(picture.width, picture.height)) {
        last_out.assign(bytes(picture.out_width, picture.out_height), 0);
        last_in.assign(bytes(picture.width, picture.height),
                       0);  // after last_out, because its size tells whether both are there
        remembers = false;
    }
    const int parts = std::min(grid.rows, 4 * workers.pool.threads());
    workers.pool.run(parts, [&](int worker, int part) {
        const auto rows_of = [&](int rows) { return Span{rows * part / parts, rows * (part + 1) / parts}; };
        const Span tiles = rows_of(grid.rows), cells = rows_of(grid.cell_rows);
        for (int row = tiles.begin; choosing && row < tiles.end; ++row) {
            measure_activity(engine.kernels, picture, grid, row, activity.data() + row * grid.columns,
                             activity_rows[static_cast<size_t>(worker)]);
        }
        for (int row = cells.begin; comparing && row < cells.end; ++row) {
            find_changes(picture, grid, row, last_in.data(), changed.data() + row * grid.cell_columns);
        }
    });
}

// Decides which tiles have to be sharp (chosen), and which of them to compute (wanted).
void acutance_session::decide(bool choosing) {
    if (choosing) {
        choose_tiles(activity, computed, format.bit_depth, options.threshold, limit(), chosen);
    } else {
        std::fill(chosen.begin(), chosen.end(), uint8_t{1});
    }
    wanted = chosen;
    counts = {sizeof counts, grid.count(), 0, 0, 0};
    if (remembers) {
        // Tiles that are computed again though nothing changed, spread over the picture: no front moves across it.
        const int renewed = renewal < kRenewalFrames ? renewal++ : -1;
        spread_changes(grid, changed, engine.network.unshuffle() * engine.network.depth(), across, sums, affected);
        for (size_t i = 0; i < wanted.size(); ++i) {
            const int tile = static_cast<int>(i), row = tile / grid.columns, column = tile % grid.columns;
            if ((column + 3 * row) % kRenewalFrames == renewed) continue;
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

// Comparing and remembering cost a few percent of computing. If hardly anything is ever the same, as with noise, most
// frames go without.
void acutance_session::update_rest() {
    unrewarding = counts.reused * kShare < counts.computed + counts.reused ? unrewarding + 1 : 0;
    if (unrewarding >= kUnrewarding) {
        rest = kRest;
        unrewarding = kUnrewarding - 1;  // one more is enough next time
    }
}

// Writes the tiles that were not computed: those that pass through, and those that are reused.
void acutance_session::fill(Workers& workers, const Picture& picture) {
    const Network& network = engine.network;
    const size_t sample = static_cast<size_t>(picture.sample_bytes());
    const size_t row_bytes = static_cast<size_t>(picture.out_width) * sample;
    const int a = network.unshuffle(), tile = grid.side / a;  // of pixels of the network
    const int out_side = tile * network.shuffle(), pixels = (picture.width + a - 1) / a;
    const int pixel_rows = (picture.height + a - 1) / a;
    if (network.upscales()) {
        for (Renderer& renderer : workers.renderers) renderer.reserve_to_enlarge(picture, pixels);
    }
    enum State { kComputed, kReused, kPassed };
    const auto state = [this](size_t index) {
        return wanted[index] != 0 ? kComputed : chosen[index] != 0 ? kReused : kPassed;
    };
    const auto copy = [&](int row, int first_column, int end_column, bool reused) {
        const size_t begin = static_cast<size_t>(first_column) * static_cast<size_t>(out_side) * sample;
        const size_t end =
            std::min(static_cast<size_t>(end_column) * static_cast<size_t>(out_side) * sample, row_bytes);
        for (int y = row * out_side; y < std::min((row + 1) * out_side, picture.out_height); ++y) {
            const uint8_t* from =
                reused ? last_out.data() + static_cast<size_t>(y) * row_bytes : picture.luma_row<uint8_t>(y);
            std::memcpy(picture.out_row<uint8_t>(y) + begin, from + begin, end - begin);
        }
    };
    const int parts = std::min(grid.rows, 4 * workers.pool.threads());
    workers.pool.run(parts, [&](int worker, int part) {
        Renderer& renderer = workers.renderers[static_cast<size_t>(worker)];
        for (int row = grid.rows * part / parts; row < grid.rows * (part + 1) / parts; ++row) {
            const size_t first = static_cast<size_t>(row) * static_cast<size_t>(grid.columns);
            renderer.spans().clear();
            for (int column = 0; column < grid.columns;) {
                const int run = column;
                const State what = state(first + static_cast<size_t>(column));
                while (column < grid.columns && state(first + static_cast<size_t>(column)) == what) ++column;
                if (what == kReused || (what == kPassed && !network.upscales())) {
                    copy(row, run, column, what == kReused);
                } else if (what == kPassed) {
                    renderer.spans().push_back(Span{run * tile, std::min(column * tile, pixels)});
                }
            }
            if (!renderer.spans().empty()) {
                renderer.enlarge(picture, row * tile, std::min((row + 1) * tile, pixel_rows), pixels);
            }
        }
    });
}
