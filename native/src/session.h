// A session: one stream, of whose frames only those tiles are computed that need it (docs/engine.md, "Tiles").
#pragma once

#include <cstdint>
#include <vector>

#include "acutance.h"
#include "engine.h"
#include "tiles.h"

struct acutance_session {
    acutance_session(acutance_engine& engine_, const acutance_tile_options& options_)
        : options(options_), engine(engine_) {}

    void process(const acutance::Picture& picture, const acutance_format& format_, double strength_);
    void forget() { started = false; }

    acutance_tile_options options;
    acutance_tile_counts counts{};

private:
    void begin(const acutance_format& format_, double strength_);
    void sharpen(acutance::Workers& workers, const acutance::Picture& picture);
    void look(acutance::Workers& workers, const acutance::Picture& picture, bool choosing, bool comparing);
    void decide(bool choosing);
    int limit() const;
    void fill(acutance::Workers& workers, const acutance::Picture& picture);
    void rest_or_not();

    acutance_engine& engine;
    bool started = false;
    acutance_format format{};
    double strength = -1;
    acutance::TileGrid grid;
    std::vector<int32_t> activity;
    std::vector<uint8_t> computed, chosen, wanted;  // computed: chosen in the last frame
    std::vector<uint8_t> changed, affected;         // changed: cells; affected: tiles that see one
    std::vector<uint8_t> before, kept;              // the last frame's input and output, where they are remembered
    bool remembers = false;
    int poor = 0, rest = 0;  // frames in a row that reused hardly anything; frames not to be compared
    std::vector<acutance::ActivityRow> scratch;
    double seconds_per_tile = 0, overhead = 0;
};
