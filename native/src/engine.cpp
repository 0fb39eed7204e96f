// Engines and sessions, and the C interface to them.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if !defined(_WIN32)
#include <unistd.h>
#endif

#include "acutance.h"
#include "dispatch.h"
#include "error.h"
#include "network.h"
#include "picture.h"
#include "pool.h"
#include "renderer.h"
#include "tiles.h"

namespace {

using namespace acutance;

constexpr int kMaxThreads = 256, kMaxSide = 65535;
constexpr int kMostBytes =
    1 << 20;  // of working memory for each thread; measured: speed hardly depends on it below that
constexpr size_t kLargestFile = 64U << 20;

long current_process() {
#if defined(_WIN32)
    return 0;
#else
    return static_cast<long>(getpid());
#endif
}

double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What belongs to one process: threads do not survive a fork, and a lock may have been held during it.
struct Workers {
    Workers(const Network& network, const Kernels& kernels, int threads) : process(current_process()), pool(threads) {
        for (int i = 0; i < pool.threads(); ++i) renderers.emplace_back(network, kernels);
    }
    const long process;
    std::mutex turn;
    Pool pool;
    std::vector<Renderer> renderers;
};

[[noreturn]] void invalid(const std::string& why) {
    throw Error(ACUTANCE_INVALID_ARGUMENT, why);
}

// Whether any byte may belong to both planes. Planes side by side in one buffer, such as the halves of a split view, do
// not overlap.
bool overlap(const Picture& picture, ptrdiff_t row) {
    const auto extent = [&](const uint8_t* first, ptrdiff_t stride) {
        const ptrdiff_t span = stride * (picture.height - 1);
        return std::pair(reinterpret_cast<uintptr_t>(first + std::min<ptrdiff_t>(span, 0)),
                         reinterpret_cast<uintptr_t>(first + std::max<ptrdiff_t>(span, 0) + row));
    };
    const auto [luma_begin, luma_end] = extent(picture.luma, picture.luma_stride);
    const auto [out_begin, out_end] = extent(picture.out, picture.out_stride);
    if (luma_end <= out_begin || out_end <= luma_begin) return false;
    const ptrdiff_t pitch = std::abs(picture.luma_stride);
    if (pitch != std::abs(picture.out_stride) || picture.height == 1) return true;
    const uintptr_t distance = out_begin > luma_begin ? out_begin - luma_begin : luma_begin - out_begin;
    const ptrdiff_t apart = static_cast<ptrdiff_t>(distance % static_cast<uintptr_t>(pitch));
    return apart < row || pitch - apart < row;
}

Picture check_picture(const acutance_format* format, const void* luma, ptrdiff_t luma_stride, void* out,
                      ptrdiff_t out_stride, double strength) {
    if (format == nullptr || luma == nullptr || out == nullptr) invalid("format, luma and out must not be NULL");
    if (format->width < 1 || format->width > kMaxSide || format->height < 1 || format->height > kMaxSide) {
        invalid("a picture of " + std::to_string(format->width) + "x" + std::to_string(format->height) + " pixels");
    }
    if (format->bit_depth < 8 || format->bit_depth > 16) invalid("a bit depth of " + std::to_string(format->bit_depth));
    if (!(strength >= 0.0 && strength <= 2.0))
        invalid("a strength of " + std::to_string(strength) + ", which is not 0 to 2");
    Picture picture{};
    picture.kind = format->bit_depth == 8 ? Kind::kCodes8 : Kind::kCodes16;
    picture.width = format->width;
    picture.height = format->height;
    picture.samples = make_samples(*format, strength);
    picture.luma = static_cast<const uint8_t*>(luma);
    picture.out = static_cast<uint8_t*>(out);
    picture.luma_stride = luma_stride;
    picture.out_stride = out_stride;
    const ptrdiff_t row = static_cast<ptrdiff_t>(picture.width) * picture.sample_bytes();
    const ptrdiff_t largest = std::numeric_limits<ptrdiff_t>::max() / picture.height;
    for (const ptrdiff_t stride : {luma_stride, out_stride}) {
        const bool apart = picture.height == 1 || stride >= row || stride <= -row;
        if (!apart || stride > largest || stride < -largest) {
            invalid("a stride of " + std::to_string(stride) + " bytes for rows of " + std::to_string(row));
        }
        if (picture.sample_bytes() == 2 && stride % 2 != 0) invalid("an odd stride for 16-bit samples");
    }
    if (picture.sample_bytes() == 2 &&
        (reinterpret_cast<uintptr_t>(luma) % 2 != 0 || reinterpret_cast<uintptr_t>(out) % 2 != 0)) {
        invalid("16-bit samples at an odd address");
    }
    if (overlap(picture, row)) invalid("luma and out overlap");
    return picture;
}

void copy_rows(const Picture& picture) {
    const size_t row = static_cast<size_t>(picture.width) * static_cast<size_t>(picture.sample_bytes());
    for (int y = 0; y < picture.height; ++y)
        std::memcpy(picture.out_row<uint8_t>(y), picture.luma_row<uint8_t>(y), row);
}

}  // namespace

struct acutance_engine {
    acutance_engine(Network network_, const Kernels& kernels_, int threads_)
        : network(std::move(network_)),
          kernels(kernels_),
          threads(threads_),
          workers_(new Workers(network, kernels, threads)) {}
    ~acutance_engine() {
        Workers* workers = workers_.load();
        if (workers->process == current_process()) delete workers;  // else its threads are another process's
    }

    Workers& workers() {
        Workers* mine = workers_.load(std::memory_order_acquire);
        if (mine->process == current_process()) return *mine;
        auto fresh = std::make_unique<Workers>(network, kernels, threads);
        if (workers_.compare_exchange_strong(mine, fresh.get())) return *fresh.release();
        return *mine;
    }

    // How a picture is shared out: a few parts for each thread, so that one that is held up does not hold up the frame,
    // and as little border between parts as can be, as both sides of it compute what lies around it. With a mask, tiles
    // stay whole.
    std::vector<Rectangle> share_out(const Picture& picture, const TileMask* mask) const {
        const int r = network.unshuffle();
        const int width = (picture.width + r - 1) / r, height = (picture.height + r - 1) / r;
        const int unit = mask != nullptr ? mask->tile : 16;
        const int parts = threads == 1 ? 1 : (mask != nullptr ? 4 : 2) * threads;
        const int narrowest = 12 * network.depth();
        const int64_t bytes = static_cast<int64_t>(width) * Renderer::bytes_per_column(network);
        const int fewest = static_cast<int>(std::min<int64_t>((bytes + kMostBytes - 1) / kMostBytes, width));
        int columns = fewest, rows = 1;
        int64_t least = INT64_MAX;
        for (int i = fewest; i <= std::max(fewest, std::min(parts, width / narrowest)); ++i) {
            const int j = std::max(1, std::min((parts + i - 1) / i, height / narrowest));
            // Too few parts are worse than any border.
            const int64_t border = static_cast<int64_t>(i - 1) * height + static_cast<int64_t>(j - 1) * width;
            const int64_t cost = border + static_cast<int64_t>(std::max(0, parts - i * j)) * width * height;
            if (cost < least) {
                least = cost;
                columns = i;
                rows = j;
            }
        }
        std::vector<Rectangle> rectangles;
        const auto cut = [unit](int size, int count, int index) {
            return index == count ? size : static_cast<int>(static_cast<int64_t>(size) * index / count / unit * unit);
        };
        for (int j = 0; j < rows; ++j) {
            for (int i = 0; i < columns; ++i) {
                const Rectangle part{cut(width, columns, i), cut(height, rows, j), cut(width, columns, i + 1),
                                     cut(height, rows, j + 1)};
                if (part.left < part.right && part.top < part.bottom) rectangles.push_back(part);
            }
        }
        if (mask != nullptr) {
            const auto wanted = [mask](const Rectangle& part) {
                int count = 0;
                for (int y = part.top / mask->tile; y < (part.bottom + mask->tile - 1) / mask->tile; ++y) {
                    for (int x = part.left / mask->tile; x < (part.right + mask->tile - 1) / mask->tile; ++x) {
                        count += mask->wanted[y * mask->columns + x] != 0 ? 1 : 0;
                    }
                }
                return count;
            };
            std::vector<std::pair<int, Rectangle>> weighed;
            for (const Rectangle& part : rectangles) {
                if (const int count = wanted(part); count > 0) weighed.emplace_back(count, part);
            }
            // The largest first: what is left at the end is small, and the threads finish together.
            std::stable_sort(weighed.begin(), weighed.end(),
                             [](const auto& a, const auto& b) { return a.first > b.first; });
            rectangles.clear();
            for (const auto& [count, part] : weighed) rectangles.push_back(part);
        }
        return rectangles;
    }

    void render(Workers& workers, const Picture& picture, const TileMask* mask) const {
        const std::vector<Rectangle> parts = share_out(picture, mask);
        workers.pool.run(static_cast<int>(parts.size()), [&](int worker, int item) {
            workers.renderers[static_cast<size_t>(worker)].render(picture, parts[static_cast<size_t>(item)], mask);
        });
    }

    void process(const Picture& picture, double strength) {
        Workers& mine = workers();
        const std::lock_guard<std::mutex> lock(mine.turn);
        if (strength == 0.0) {
            copy_rows(picture);
        } else {
            render(mine, picture, nullptr);
        }
    }

    const Network network;
    const Kernels& kernels;
    const int threads;

private:
    std::atomic<Workers*> workers_;
};

struct acutance_session {
    acutance_session(acutance_engine& engine_, const acutance_tile_options& options_)
        : engine(engine_), options(options_) {}

    void process(const Picture& picture, const acutance_format& format_, double strength_) {
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

    acutance_engine& engine;
    acutance_tile_options options;
    acutance_tile_counts counts{};
    bool started = false;

private:
    void sharpen(Workers& workers, const Picture& picture) {
        if (strength == 0.0) {
            copy_rows(picture);
            std::fill(computed.begin(), computed.end(), uint8_t{0});
            counts = {grid.count(), 0, grid.count(), 0};
            return;
        }
        const bool choosing = options.threshold > 0 || options.tile_budget > 0 || options.time_budget > 0;
        const bool reusing = options.reuse != 0;
        if (!choosing && !reusing) {
            engine.render(workers, picture, nullptr);
            std::fill(computed.begin(), computed.end(), uint8_t{1});
            kept_is_valid = false;
            counts = {grid.count(), grid.count(), 0, 0};
            return;
        }
        const double began = seconds_now();
        look(workers, picture, choosing, reusing);
        decide(choosing, reusing);
        const double decided = seconds_now();
        const TileMask mask{grid.side / engine.network.unshuffle(), grid.columns, grid.rows, wanted.data()};
        Picture kept_too = picture;
        if (reusing) kept_too.kept = kept.data();
        engine.render(workers, kept_too, counts.computed == counts.tiles ? nullptr : &mask);
        const double rendered = seconds_now();
        if (counts.computed < counts.tiles) fill(workers, picture);
        kept_is_valid = reusing;
        std::swap(computed, chosen);
        if (counts.computed > 0) {
            const double each = (rendered - decided) / counts.computed;
            seconds_per_tile = seconds_per_tile > 0 ? 0.75 * seconds_per_tile + 0.25 * each : each;
        } else {
            seconds_per_tile *= 0.9;  // nothing new was measured: one slow frame must not rule for ever
        }
        overhead = seconds_now() - rendered + decided - began;
    }

    void begin(const acutance_format& format_, double strength_) {
        grid = TileGrid::over(format_.width, format_.height, engine.network.unshuffle());
        const size_t tiles = static_cast<size_t>(grid.count());
        computed.assign(tiles, 0);
        chosen.assign(tiles, 0);
        wanted.assign(tiles, 0);
        changed.assign(tiles, 1);
        affected.assign(tiles, 1);
        activity.assign(tiles, 0);
        kept_is_valid = false;
        format = format_;
        strength = strength_;
    }

    // Activity and changes, a row of tiles at a time.
    void look(Workers& workers, const Picture& picture, bool choosing, bool reusing) {
        const size_t plane = static_cast<size_t>(picture.width) * static_cast<size_t>(picture.height) *
                             static_cast<size_t>(picture.sample_bytes());
        if (reusing && before.size() != plane) {
            kept.assign(plane, 0);
            before.assign(plane, 0);  // last: its size is what is looked at
            kept_is_valid = false;
        }
        scratch.resize(static_cast<size_t>(workers.pool.threads()));
        const int parts = std::min(grid.rows, 4 * workers.pool.threads());
        workers.pool.run(parts, [&](int worker, int part) {
            for (int row = grid.rows * part / parts; row < grid.rows * (part + 1) / parts; ++row) {
                const size_t first = static_cast<size_t>(row) * static_cast<size_t>(grid.columns);
                if (choosing) {
                    measure_activity(engine.kernels, picture, grid, row, activity.data() + first,
                                     scratch[static_cast<size_t>(worker)]);
                }
                if (reusing) find_changes(picture, grid, row, before.data(), changed.data() + first);
            }
        });
    }

    // chosen: has to be sharp; wanted: has to be computed for it.
    void decide(bool choosing, bool reusing) {
        if (choosing) {
            choose_tiles(activity, computed, format.bit_depth, options.threshold, limit(), chosen);
        } else {
            std::fill(chosen.begin(), chosen.end(), uint8_t{1});
        }
        wanted = chosen;
        counts = {grid.count(), 0, 0, 0};
        if (reusing && kept_is_valid) {
            spread_changes(grid, changed, engine.network.unshuffle() * engine.network.depth(), affected);
            for (size_t i = 0; i < wanted.size(); ++i) {
                if (chosen[i] != 0 && computed[i] != 0 && affected[i] == 0) wanted[i] = 0;
            }
        }
        for (size_t i = 0; i < wanted.size(); ++i) {
            ++(wanted[i] != 0 ? counts.computed : chosen[i] != 0 ? counts.reused : counts.passed);
        }
    }

    int limit() const {
        double tiles = grid.count();
        if (options.tile_budget > 0) tiles = std::min(tiles, options.tile_budget * grid.count());
        if (options.time_budget > 0 && seconds_per_tile > 0) {
            tiles = std::min(tiles, std::max(0.0, options.time_budget - overhead) / seconds_per_tile);
        }
        return static_cast<int>(tiles);
    }

    // What was not computed: tiles that pass through, and those that are as they were.
    void fill(Workers& workers, const Picture& picture) {
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

    acutance_format format{};
    double strength = -1;
    TileGrid grid;
    std::vector<int32_t> activity;
    std::vector<uint8_t> computed, chosen, wanted, changed, affected;
    std::vector<uint8_t> before, kept;  // the last frame's input and output
    bool kept_is_valid = false;
    std::vector<ActivityRow> scratch;
    double seconds_per_tile = 0, overhead = 0;
};

namespace {

thread_local std::string last_error;

template <class Call>
acutance_status guarded(Call&& call) noexcept {
    try {
        try {
            call();
            return ACUTANCE_OK;
        } catch (const Error& error) {
            last_error = error.what();
            return error.status;
        } catch (const std::bad_alloc&) {
            last_error = "out of memory";
            return ACUTANCE_OUT_OF_MEMORY;
        } catch (const std::exception& error) {
            last_error = error.what();
            return ACUTANCE_INVALID_ARGUMENT;
        }
    } catch (...) {
        return ACUTANCE_OUT_OF_MEMORY;
    }
}

void check_options(const acutance_tile_options* options) {
    if (options == nullptr) invalid("options must not be NULL");
    if (options->threshold < 0) invalid("a threshold of " + std::to_string(options->threshold));
    if (!(options->tile_budget >= 0.0 && options->tile_budget <= 1.0))
        invalid("a tile budget that is not a share of 0 to 1");
    if (!(options->time_budget >= 0.0) || std::isinf(options->time_budget))
        invalid("a time budget that is not a number of seconds");
}

}  // namespace

extern "C" {

const char* acutance_last_error(void) {
    return last_error.c_str();
}

const char* const* acutance_instruction_sets(void) {
    static const std::vector<const char*> names = [] {
        std::vector<const char*> all;
        for (const Kernels* kernels : runnable_kernels()) all.push_back(kernels->name);
        all.push_back(nullptr);
        return all;
    }();
    return names.data();
}

acutance_status acutance_load_memory(const void* model, size_t size, int threads, const char* instruction_set,
                                     acutance_engine** engine) {
    return guarded([&] {
        if (model == nullptr || engine == nullptr) invalid("model and engine must not be NULL");
        *engine = nullptr;
        if (threads < 0 || threads > kMaxThreads)
            invalid(std::to_string(threads) + " threads; accepted: 0 to " + std::to_string(kMaxThreads));
        if (threads == 0) threads = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads);
        Network network = Network::parse(static_cast<const uint8_t*>(model), size);
        *engine = new acutance_engine(std::move(network), choose_kernels(instruction_set), threads);
    });
}

acutance_status acutance_load(const char* path, int threads, const char* instruction_set, acutance_engine** engine) {
    std::vector<uint8_t> bytes;
    const acutance_status status = guarded([&] {
        if (path == nullptr || engine == nullptr) invalid("path and engine must not be NULL");
        *engine = nullptr;
        const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path, "rb"), std::fclose);
        if (!file) throw Error(ACUTANCE_CANNOT_READ, std::string(path) + ": cannot be opened");
        uint8_t block[1 << 16];
        for (size_t count; (count = std::fread(block, 1, sizeof block, file.get())) > 0;) {
            bytes.insert(bytes.end(), block, block + count);
            if (bytes.size() > kLargestFile)
                throw Error(ACUTANCE_INVALID_MODEL, std::string(path) + ": too large for a model");
        }
        if (std::ferror(file.get()) != 0) throw Error(ACUTANCE_CANNOT_READ, std::string(path) + ": cannot be read");
    });
    if (status != ACUTANCE_OK) return status;
    return acutance_load_memory(bytes.empty() ? reinterpret_cast<const uint8_t*>("") : bytes.data(), bytes.size(),
                                threads, instruction_set, engine);
}

void acutance_free(acutance_engine* engine) {
    delete engine;
}

const char* acutance_engine_instruction_set(const acutance_engine* engine) {
    return engine == nullptr ? "" : engine->kernels.name;
}

int acutance_engine_threads(const acutance_engine* engine) {
    return engine == nullptr ? 0 : engine->threads;
}

acutance_status acutance_process(acutance_engine* engine, const acutance_format* format, const void* luma,
                                 ptrdiff_t luma_stride, void* out, ptrdiff_t out_stride, double strength) {
    return guarded([&] {
        if (engine == nullptr) invalid("engine must not be NULL");
        engine->process(check_picture(format, luma, luma_stride, out, out_stride, strength), strength);
    });
}

acutance_status acutance_residual(acutance_engine* engine, int width, int height, const int16_t* luma,
                                  ptrdiff_t luma_stride, int16_t* residual, ptrdiff_t residual_stride) {
    return guarded([&] {
        if (engine == nullptr) invalid("engine must not be NULL");
        const acutance_format format{width, height, 16, 0};  // checks what 16-bit samples have in common
        Picture picture = check_picture(&format, luma, luma_stride, residual, residual_stride, 1.0);
        picture.kind = Kind::kActivations;
        engine->process(picture, 1.0);
    });
}

acutance_status acutance_session_open(acutance_engine* engine, const acutance_tile_options* options,
                                      acutance_session** session) {
    return guarded([&] {
        if (engine == nullptr || session == nullptr) invalid("engine and session must not be NULL");
        *session = nullptr;
        check_options(options);
        *session = new acutance_session(*engine, *options);
    });
}

void acutance_session_close(acutance_session* session) {
    delete session;
}

acutance_status acutance_session_set_options(acutance_session* session, const acutance_tile_options* options) {
    return guarded([&] {
        if (session == nullptr) invalid("session must not be NULL");
        check_options(options);
        session->options = *options;
    });
}

acutance_status acutance_session_process(acutance_session* session, const acutance_format* format, const void* luma,
                                         ptrdiff_t luma_stride, void* out, ptrdiff_t out_stride, double strength) {
    return guarded([&] {
        if (session == nullptr) invalid("session must not be NULL");
        session->process(check_picture(format, luma, luma_stride, out, out_stride, strength), *format, strength);
    });
}

acutance_tile_counts acutance_session_counts(const acutance_session* session) {
    return session == nullptr ? acutance_tile_counts{} : session->counts;
}

void acutance_session_reset(acutance_session* session) {
    if (session != nullptr) session->started = false;
}

double acutance_peak(double seconds, int threads, const char* instruction_set) {
    double total = 0;
    const acutance_status status = guarded([&] {
        const Kernels& kernels = choose_kernels(instruction_set);
        if (!(seconds > 0 && seconds <= 60) || threads < 1 || threads > kMaxThreads)
            invalid("seconds or threads out of range");
        std::vector<double> rates(static_cast<size_t>(threads), 0.0);
        Pool pool(threads);
        pool.run(threads, [&](int, int item) {
            const double began = seconds_now();
            uint64_t done = 0;
            double passed = 0;
            while (passed < seconds) {
                done += kernels.peak(100000);
                passed = seconds_now() - began;
            }
            rates[static_cast<size_t>(item)] = static_cast<double>(done) / passed;
        });
        for (const double rate : rates) total += rate;
    });
    return status == ACUTANCE_OK ? total : 0.0;
}

}  // extern "C"
