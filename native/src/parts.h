// How a picture is shared out between threads.
#pragma once

#include <vector>

#include "network.h"
#include "renderer.h"

namespace acutance {

// A few parts for each thread, so that one that is held up does not hold up the frame, and as little border between
// parts as can be, as both sides of it compute what lies around it. With a mask, tiles stay whole, and parts without a
// wanted tile are left out.
std::vector<Rectangle> share_out(const Network& network, const Picture& picture, int threads, const TileMask* mask);

}  // namespace acutance
