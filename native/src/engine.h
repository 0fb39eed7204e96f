// An engine: a network, the kernels that run it, and the threads they run on.
#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "acutance.h"
#include "network.h"
#include "parts.h"
#include "picture.h"
#include "pool.h"
#include "renderer.h"

namespace acutance {

// The threads of one process and their working memory. Threads do not survive a fork, and a lock may have been held
// during it, so a forked child makes its own.
struct Workers {
    Workers(const Network& network, const Kernels& kernels, int threads, bool pin_threads);
    const long process;
    std::mutex turn;  // frames of an engine take turns
    Pool pool;
    Parts parts;
    std::vector<Renderer> renderers;
};

double seconds_now();

}  // namespace acutance

struct acutance_engine {
    acutance_engine(acutance::Network network_, const acutance::Kernels& kernels_, int threads_, bool pin_threads_);
    ~acutance_engine();
    acutance_engine(const acutance_engine&) = delete;

    // Returns this process's workers.
    acutance::Workers& workers();

    // Sharpens the whole picture.
    void process(const acutance::Picture& picture, double strength);

    // Computes the wanted tiles, or without a mask the whole picture. running: the engine's network, or another of its
    // shape. The caller holds the workers' turn.
    void render(acutance::Workers& workers, const acutance::Network& running, const acutance::Picture& picture,
                const acutance::TileMask* mask) const;

    // Writes the output at strength 0: the input, or its enlargement.
    void pass(acutance::Workers& workers, const acutance::Picture& picture) const;

    const acutance::Network network;
    const acutance::Kernels& kernels;
    const int threads;
    const bool pin_threads;

private:
    std::atomic<acutance::Workers*> workers_;
};
