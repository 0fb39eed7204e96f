// How the threads of a frame share the work.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "network.h"
#include "picture.h"

namespace acutance {

// The tiles of a picture that are to be computed. A tile is a square of unshuffled pixels.
struct TileMask {
    int tile, columns, rows;
    const uint8_t* wanted;  // [rows][columns], nonzero for a tile to compute
};

// A rectangle of unshuffled pixels that one thread computes from top to bottom. In the meantime other threads may take
// rows from its lower end.
class Part {
public:
    // Called by the owner before it finishes two more rows. Returns where the part ends, at least for these rows.
    int advance() { return bottom_of(state_.fetch_add(join(1, 0), std::memory_order_relaxed)); }

    int left = 0, top = 0, right = 0;

private:
    friend class Parts;
    static uint64_t join(int steps, int bottom) {
        return static_cast<uint64_t>(steps) << 32 | static_cast<uint32_t>(bottom);
    }
    static int bottom_of(uint64_t state) { return static_cast<int>(state & 0xffffffffU); }
    static int steps_of(uint64_t state) { return static_cast<int>(state >> 32); }

    std::atomic<uint64_t> state_{0};  // the steps that the owner has begun, and the end
};

// The parts of one frame after another. Both sides of a border between parts compute the pixels around it, so a frame
// is cut into about as many parts as there are threads, with as little border as possible, and into more parts if the
// rows of a part would not fit in the cache. A thread with nothing left to do takes half of what another still has to
// do. So a thread that is held up delays a few rows, not the frame.
class Parts {
public:
    // Cuts a frame into parts, of whole tiles if there is a mask. Allocates only where a frame has more parts than any
    // frame before.
    void plan(const Network& network, const Picture& picture, int threads, const TileMask* mask);

    // Unshuffled pixels that no part of this picture is wider than, with or without a mask.
    int widest() const { return widest_; }

    // How many of the threads have something to do.
    int shares(int threads) const;

    // Returns a part for a thread with nothing to do, or nullptr if what is left is not worth sharing. The part is
    // valid until the next plan().
    Part* take();

private:
    void add(int left, int top, int right, int bottom);
    Part* steal();

    int unit_ = 0;    // parts begin at multiples of this row
    int delay_ = 0;   // rows between the first step of a part and its first finished row
    int least_ = 0;   // rows: taking fewer costs more than it saves
    int widest_ = 0;  // pixels
    std::mutex mutex_;
    std::unique_ptr<Part[]> parts_;
    size_t capacity_ = 0, count_ = 0, begun_ = 0;
};

}  // namespace acutance
