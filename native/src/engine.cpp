#include "engine.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <utility>

#if !defined(_WIN32)
#include <unistd.h>
#endif

namespace acutance {
namespace {

long current_process() {
#if defined(_WIN32)
    return 0;
#else
    return static_cast<long>(getpid());
#endif
}

}  // namespace

Workers::Workers(const Network& network, const Kernels& kernels, int threads, bool pin_threads)
    : process(current_process()), pool(threads, pin_threads) {
    renderers.reserve(static_cast<size_t>(pool.threads()));
    for (int i = 0; i < pool.threads(); ++i) renderers.emplace_back(network, kernels);
}

double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace acutance

using namespace acutance;

acutance_engine::acutance_engine(Network network_, const Kernels& kernels_, int threads_, bool pin_threads_)
    : network(std::move(network_)),
      kernels(kernels_),
      threads(threads_),
      pin_threads(pin_threads_),
      workers_(new Workers(network, kernels, threads, pin_threads)) {}

acutance_engine::~acutance_engine() {
    Workers* workers = workers_.load();
    if (workers->process == current_process()) delete workers;  // otherwise its threads belong to the parent
}

Workers& acutance_engine::workers() {
    Workers* mine = workers_.load(std::memory_order_acquire);
    if (mine->process == current_process()) return *mine;
    auto fresh = std::make_unique<Workers>(network, kernels, threads, pin_threads);
    if (workers_.compare_exchange_strong(mine, fresh.get())) return *fresh.release();
    return *mine;
}

void acutance_engine::process(const Picture& picture, double strength) {
    Workers& mine = workers();
    const std::lock_guard<std::mutex> lock(mine.turn);
    if (strength == 0.0) {
        pass(mine, picture);
    } else {
        render(mine, network, picture, nullptr);
    }
}

void acutance_engine::render(Workers& workers, const Network& running, const Picture& picture,
                             const TileMask* mask) const {
    Parts& parts = workers.parts;
    parts.plan(network, picture, threads, mask);
    for (Renderer& renderer : workers.renderers) {
        renderer.use(running);
        renderer.reserve(picture, parts.widest());
    }
    workers.pool.run(parts.shares(workers.pool.threads()), [&](int worker, int) {
        while (Part* part = parts.take()) workers.renderers[static_cast<size_t>(worker)].render(picture, *part, mask);
    });
}

void acutance_engine::pass(Workers& workers, const Picture& picture) const {
    if (!network.upscales()) {
        const size_t row = static_cast<size_t>(picture.width) * static_cast<size_t>(picture.sample_bytes());
        for (int y = 0; y < picture.height; ++y)
            std::memcpy(picture.out_row<uint8_t>(y), picture.luma_row<uint8_t>(y), row);
        return;
    }
    const int a = network.unshuffle(), rows = (picture.height + a - 1) / a, columns = (picture.width + a - 1) / a;
    for (Renderer& renderer : workers.renderers) {
        renderer.reserve_to_enlarge(picture, columns);
        renderer.spans().assign(1, Span{0, columns});
    }
    const int shares = std::min(rows, 4 * workers.pool.threads());
    workers.pool.run(shares, [&](int worker, int share) {
        workers.renderers[static_cast<size_t>(worker)].enlarge(picture, rows * share / shares,
                                                               rows * (share + 1) / shares, columns);
    });
}
