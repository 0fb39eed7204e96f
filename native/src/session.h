// A session: one stream, of whose frames it computes only the tiles that need it (docs/engine.md, "Tiles").
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "acutance.h"
#include "engine.h"
#include "tiles.h"

struct acutance_session {
    acutance_session(acutance_engine& engine_, const acutance_tile_options& options_)
        : options(options_), engine(engine_), renewal(kRenewalFrames) {}

    // After a change of network, a kept tile is computed again within so many frames.
    static constexpr int kRenewalFrames = 8;

    void process(const acutance::Picture& picture, const acutance_format& format_, double strength_);
    void forget() { started = false; }
    // Computes with another network of the engine's shape from the next frame on (docs/engine.md, "Other weights").
    void set_network(acutance::Network network);
    const acutance::Network& network() const { return own ? *own : engine.network; }

    acutance_tile_options options;
    acutance_tile_counts counts{};

private:
    void begin(const acutance_format& format_, double strength_);
    void sharpen(acutance::Workers& workers, const acutance::Picture& picture);
    void inspect(acutance::Workers& workers, const acutance::Picture& picture, bool choosing, bool comparing);
    void decide(bool choosing);
    int limit() const;
    void fill(acutance::Workers& workers, const acutance::Picture& picture);
    void update_rest();

    acutance_engine& engine;
    std::unique_ptr<const acutance::Network> own;  // if it is not the engine's
    bool started = false;
    acutance_format format{};
    double strength = -1;
    acutance::TileGrid grid;
    std::vector<int32_t> activity;
    std::vector<uint8_t> computed;  // tiles chosen in the last frame
    std::vector<uint8_t> chosen;    // tiles that have to be sharp in this frame
    std::vector<uint8_t> wanted;    // those of them that cannot be reused
    std::vector<uint8_t> changed;   // cells that differ from the last frame's
    std::vector<uint8_t> affected;  // tiles that depend on a changed cell
    std::vector<uint8_t> across;    // working memory of spread_changes, as is the next
    std::vector<int> sums;
    std::vector<uint8_t> last_in, last_out;  // the last frame's input and output, if it is remembered
    bool remembers = false;
    int unrewarding = 0;  // frames in a row that were compared and could reuse hardly anything
    int rest = 0;         // frames that will not be compared
    int renewal;          // frames that were compared since the network changed
    std::vector<acutance::ActivityRow> activity_rows;
    double seconds_per_tile = 0, overhead = 0;
};
