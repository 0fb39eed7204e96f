// How the threads of a frame share it out.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>

#include "network.h"
#include "picture.h"

namespace acutance {

// The tiles of a picture that are to be computed. A tile is a square of unshuffled pixels.
struct TileMask {
    int tile, columns, rows;
    const uint8_t* wanted;  // [rows][columns], nonzero where wanted
};

// A rectangle of unshuffled pixels that one thread computes from top to bottom. Meanwhile other threads may take rows
// off its lower end.
class Part {
public:
    Part(int left_, int top_, int right_, int bottom_)
        : left(left_), top(top_), right(right_), state_(join(0, bottom_)) {}

    // The owner's: it is about to finish two more rows. Where the part ends, at least for them.
    int advance() { return bottom_of(state_.fetch_add(join(1, 0), std::memory_order_relaxed)); }

    const int left, top, right;

private:
    friend class Parts;
    static uint64_t join(int steps, int bottom) {
        return static_cast<uint64_t>(steps) << 32 | static_cast<uint32_t>(bottom);
    }
    static int bottom_of(uint64_t state) { return static_cast<int>(state & 0xffffffffU); }
    static int steps_of(uint64_t state) { return static_cast<int>(state >> 32); }

    std::atomic<uint64_t> state_;  // steps the owner has begun, and the end
};

// Both sides of a border between parts compute what lies around it, so a frame is cut into about as many parts as
// threads, with as little border as can be (and into more where a part's rows would not fit in the cache); then who has
// nothing left to do takes half of what another still has to. A thread that is held up so holds up a few rows, not the
// frame.
class Parts {
public:
    // With a mask, tiles stay whole.
    Parts(const Network& network, const Picture& picture, int threads, const TileMask* mask);

    // How many of the threads have something to do.
    int shares(int threads) const;

    // A part for a thread with nothing to do, or nullptr: what is left is not worth sharing. Valid as long as this is.
    Part* take();

private:
    Part* steal();

    const int unit_;   // parts begin at multiples of this row
    const int delay_;  // rows between the first step of a part and its first finished row
    const int least_;  // rows: taking fewer costs more than it saves
    std::mutex mutex_;
    std::deque<Part> parts_;
    size_t begun_ = 0;
};

}  // namespace acutance
