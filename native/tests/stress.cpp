// Tests the C interface on random networks and pictures: instruction sets, numbers of threads, and tiles against whole
// frames. Run it under the sanitizers and, for other processors, under an emulator:
//
//   cmake -B build/check -DACUTANCE_TESTS=ON -DACUTANCE_SANITIZE=address && cmake --build build/check &&
//   build/check/acutance_stress 200
//
// ACUTANCE_SANITIZE=thread finds data races; set ACUTANCE_NO_FORK=1 with it. The program prints what differs and
// returns
// 1. A crash or a report of a sanitizer is a failure too.
#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if !defined(_WIN32) && !defined(__EMSCRIPTEN__)
#define CAN_FORK
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "../src/network.h"
#include "../src/parts.h"
#include "acutance.h"

// Allocations in any thread until one fails.
std::atomic<long> allocations_left{LONG_MAX};
std::atomic<long> allocations{0};
std::atomic<bool> throw_something_else{false};

void* operator new(size_t size) {
    ++allocations;
    if (throw_something_else.exchange(false)) throw 7;
    if (allocations_left != LONG_MAX && allocations_left-- <= 0) throw std::bad_alloc();
    void* memory = std::malloc(size == 0 ? 1 : size);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
    try {
        return operator new(size);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
    std::free(memory);
}

namespace {

std::mt19937 generator;
int failures = 0;

int number(int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(generator);
}

void expect(bool held, const std::string& what) {
    if (held) return;
    std::printf("failed: %s (%s)\n", what.c_str(), acutance_last_error());
    ++failures;
}

template <class T>
void append(std::vector<uint8_t>& bytes, T value) {
    for (size_t i = 0; i < sizeof value; ++i)
        bytes.push_back(static_cast<uint8_t>(static_cast<uint64_t>(value) >> (8 * i)));
}

// A model as docs/engine.md describes it, with weights that use most of what the overflow proof allows.
std::vector<uint8_t> random_model(int unshuffle, int channels, int depth, int shuffle = 0) {
    if (shuffle == 0) shuffle = unshuffle;
    std::vector<uint8_t> bytes;
    for (const char c : std::string("ACUTANCE")) bytes.push_back(static_cast<uint8_t>(c));
    for (const int value : {3, unshuffle, shuffle, channels, depth}) append(bytes, value);
    const int layers = depth + 2;
    for (int layer = 0; layer < layers; ++layer) {
        const int inputs = layer == 0 ? unshuffle * unshuffle : channels;
        const int outputs = layer + 1 == layers ? shuffle * shuffle : channels;
        append(bytes, number(8, 16));
        const int largest = std::min(32767 / 3, 60000 / (9 * inputs));
        for (int i = 0; i < 9 * inputs * outputs; ++i) append(bytes, static_cast<int16_t>(number(-largest, largest)));
        for (int i = 0; i < outputs; ++i) append(bytes, number(-(1 << 24), 1 << 24));
        for (int i = 0; layer + 1 < layers && i < outputs; ++i)
            append(bytes, static_cast<int16_t>(number(-32766, 32767)));
    }
    return bytes;
}

// A plane with rows apart, or from the last to the first, that ends where its memory ends.
struct Plane {
    Plane(const acutance_format& format, int gap, bool upside_down)
        : sample(format.bit_depth > 8 ? 2 : 1),
          row(format.width * sample),
          pitch(row + gap * sample),
          memory(static_cast<size_t>(pitch) * static_cast<size_t>(format.height - 1) + static_cast<size_t>(row)),
          first(memory.data() + (upside_down ? pitch * (format.height - 1) : 0)),
          stride(upside_down ? -pitch : pitch) {}
    Plane(const Plane&) = delete;
    std::vector<uint8_t> pixels(int height) const {
        std::vector<uint8_t> all;
        for (int y = 0; y < height; ++y) all.insert(all.end(), first + y * stride, first + y * stride + row);
        return all;
    }
    ptrdiff_t sample, row, pitch;
    std::vector<uint8_t> memory;
    uint8_t* first;
    ptrdiff_t stride;
};

void fill(Plane& plane, const acutance_format& format) {
    const int flat = number(0, format.width);  // the picture is calm left of here, so that tiles can pass through
    for (int y = 0; y < format.height; ++y) {
        for (int x = 0; x < format.width; ++x) {
            const int value = x < flat ? 100 + x / 9 : number(0, 65535);
            uint8_t* at = plane.first + y * plane.stride + x * plane.sample;
            at[0] = static_cast<uint8_t>(value);
            if (plane.sample == 2) at[1] = static_cast<uint8_t>(value >> 8);
        }
    }
}

acutance_tile_options tiles(int threshold, int reuse, double tile_budget, double time_budget) {
    return {sizeof(acutance_tile_options), threshold, reuse, tile_budget, time_budget};
}

acutance_tile_counts counts_of(const acutance_session* session) {
    acutance_tile_counts counts{};
    counts.size = sizeof counts;
    expect(acutance_session_counts(session, &counts) == ACUTANCE_OK, "counts");
    return counts;
}

acutance_engine* load(const std::vector<uint8_t>& model, int threads, const char* instruction_set) {
    acutance_engine* engine = nullptr;
    const acutance_engine_options options{sizeof options, threads, number(0, 1), instruction_set};
    expect(acutance_load_memory(model.data(), model.size(), &options, &engine) == ACUTANCE_OK, "a model loads");
    return engine;
}

void check_one() {
    const int factors[][2] = {{1, 1}, {2, 2}, {2, 2}, {3, 3}, {5, 5}, {1, 2}, {1, 3}, {1, 4}, {2, 3}, {3, 7}};
    const int depths[] = {8, 8, 8, 9, 10, 12, 13, 14, 16};
    const auto [unshuffle, shuffle] = factors[number(0, 9)];
    const std::vector<uint8_t> model = random_model(unshuffle, number(1, 20), number(0, 4), shuffle);
    const acutance_format format{sizeof format, number(1, 120), number(1, 70), depths[number(0, 8)], number(0, 1)};
    const double strength = number(0, 20) / 10.0;
    Plane luma(format, number(0, 5), number(0, 1) != 0);
    fill(luma, format);
    const std::string where = std::to_string(format.width) + "x" + std::to_string(format.height) + ", " +
                              std::to_string(format.bit_depth) + " bits, " + std::to_string(unshuffle) + " to " +
                              std::to_string(shuffle);
    acutance_format out_format = format;  // of the output planes
    out_format.width = (format.width * shuffle + unshuffle - 1) / unshuffle;
    out_format.height = (format.height * shuffle + unshuffle - 1) / unshuffle;
    std::vector<uint8_t> reference;
    for (const char* const* name = acutance_instruction_sets(); *name != nullptr; ++name) {
        for (const int threads : {1, 3}) {
            acutance_engine* engine = load(model, threads, *name);
            if (engine == nullptr) continue;
            Plane out(out_format, number(0, 5), number(0, 1) != 0);
            expect(acutance_process(engine, &format, luma.first, luma.stride, out.first, out.stride, strength) ==
                       ACUTANCE_OK,
                   "process");
            const std::vector<uint8_t> pixels = out.pixels(out_format.height);
            if (reference.empty()) reference = pixels;
            expect(pixels == reference, std::string(*name) + " differs: " + where);

            // A session that computes every tile, one that reuses, and one that leaves tiles out.
            for (const acutance_tile_options options :
                 {tiles(0, 0, 1.0, 0), tiles(0, 1, 0, 0), tiles(number(1, 300), 1, 0.5, 0)}) {
                acutance_session* session = nullptr;
                expect(acutance_session_open(engine, &options, &session) == ACUTANCE_OK, "session");
                for (int frame = 0; frame < 3; ++frame) {
                    Plane out_plane(out_format, 0, false);
                    expect(acutance_session_process(session, &format, luma.first, luma.stride, out_plane.first,
                                                    out_plane.stride, strength) == ACUTANCE_OK,
                           "session process");
                    const acutance_tile_counts counts = counts_of(session);
                    expect(counts.tiles > 0 && counts.computed + counts.passed + counts.reused == counts.tiles,
                           "tiles are accounted for");
                    if (options.threshold == 0)
                        expect(out_plane.pixels(out_format.height) == reference, "a session differs: " + where);
                    if (options.reuse != 0 && frame > 1 && strength > 0)
                        expect(counts.computed == 0, "a still frame is reused");
                }
                // Other options, and a fresh start, on the way.
                const acutance_tile_options other = tiles(number(0, 100), number(0, 1), 0, number(0, 1) * 1e-6);
                expect(acutance_session_set_options(session, &other) == ACUTANCE_OK, "new options");
                if (number(0, 1) != 0) acutance_session_reset(session);
                for (const acutance_tile_options& now : {other, tiles(0, 0, 0, 0), other, options}) {
                    acutance_session_set_options(session, &now);
                    Plane out_plane(out_format, 0, false);
                    acutance_session_process(session, &format, luma.first, luma.stride, out_plane.first,
                                             out_plane.stride, strength);
                    const acutance_tile_counts counts = counts_of(session);
                    if (counts.passed == 0)
                        expect(out_plane.pixels(out_format.height) == reference,
                               "options changed on the way: " + where);
                }
                acutance_session_close(session);
            }
            acutance_free(engine);
        }
    }
}

// A damaged model is refused, or is another valid model. It never does harm.
void check_damage() {
    const std::vector<uint8_t> model = random_model(2, 6, 1);
    for (int i = 0; i < 200; ++i) {
        std::vector<uint8_t> damaged = model;
        if (number(0, 1) != 0) damaged.resize(static_cast<size_t>(number(0, static_cast<int>(model.size()) - 1)));
        for (int j = number(0, 8); j > 0 && !damaged.empty(); --j) {
            damaged[static_cast<size_t>(
                number(0, std::min(static_cast<int>(damaged.size()) - 1, 1 << number(3, 12))))] =
                static_cast<uint8_t>(number(0, 255));
        }
        acutance_engine* engine = nullptr;
        const uint8_t nothing = 0;
        const acutance_status status =
            acutance_load_memory(damaged.empty() ? &nothing : damaged.data(), damaged.size(), nullptr, &engine);
        if (damaged.size() != model.size())
            expect(status == ACUTANCE_INVALID_MODEL, "a model of another size is refused");
        if (status != ACUTANCE_OK) continue;
        const acutance_format format{sizeof(acutance_format), 37, 21, 8, 0};
        Plane luma(format, 0, false), out(format, 0, false);
        fill(luma, format);
        expect(acutance_process(engine, &format, luma.first, luma.stride, out.first, out.stride, 2.0) == ACUTANCE_OK,
               "process");
        acutance_free(engine);
    }
}

void check_arguments() {
    acutance_engine* engine = load(random_model(2, 4, 1), 2, nullptr);
    const acutance_format good{sizeof(acutance_format), 16, 16, 8, 0};
    uint8_t in[256] = {}, out[256];
    const auto refused = [&](const acutance_format& format, const void* luma, ptrdiff_t stride, double strength) {
        return acutance_process(engine, &format, luma, stride, out, 16, strength) == ACUTANCE_INVALID_ARGUMENT;
    };
    expect(refused({sizeof(acutance_format), 0, 16, 8, 0}, in, 16, 1), "no width");
    expect(refused({sizeof(acutance_format), 16, 70000, 8, 0}, in, 16, 1), "too high");
    expect(refused({sizeof(acutance_format), 16, 16, 7, 0}, in, 16, 1), "7 bits");
    expect(refused({sizeof(acutance_format), 16, 16, 17, 0}, in, 16, 1), "17 bits");
    expect(refused(good, nullptr, 16, 1), "no plane");
    expect(refused(good, in, 15, 1), "rows overlap");
    expect(refused(good, in, 16, 2.5), "strength 2.5");
    expect(refused(good, in, 16, -0.1), "strength -0.1");
    expect(refused(good, in, 16, std::strtod("nan", nullptr)), "strength NaN");
    expect(refused({sizeof(acutance_format), 8, 8, 10, 0}, in + 1, 16, 1), "an odd address");
    expect(refused({sizeof(acutance_format), 4, 8, 10, 0}, in, 17, 1), "an odd stride");
    acutance_engine* none = nullptr;
    const acutance_engine_options sse9{sizeof sse9, 1, 0, "sse9"};
    const std::vector<uint8_t> model = random_model(2, 4, 1);
    expect(acutance_load_memory(model.data(), model.size(), &sse9, &none) == ACUTANCE_UNSUPPORTED,
           "an unknown instruction set");
    expect(none == nullptr, "nothing is returned on failure");
    expect(refused(good, out + 8, 16, 1), "planes overlap");
    expect(refused(good, in, PTRDIFF_MIN, 1), "an absurd stride");
    expect(acutance_load("/nonexistent/model.acu", nullptr, &none) == ACUTANCE_CANNOT_READ, "a missing file");
    const acutance_tile_options odd = tiles(-1, 0, 0, 0);
    acutance_session* session = nullptr;
    expect(acutance_session_open(engine, &odd, &session) == ACUTANCE_INVALID_ARGUMENT, "a negative threshold");
    acutance_session_close(nullptr);
    acutance_free(nullptr);
    acutance_free(engine);
}

// Structures of another size: those of newer headers work as long as what this library does not know is zero.
void check_sizes() {
    acutance_engine* engine = load(random_model(2, 4, 1), 2, nullptr);
    struct Newer {
        acutance_format format;
        int colour, gamma;
    } newer{{sizeof(Newer), 16, 16, 8, 0}, 0, 0};
    uint8_t in[256] = {}, out[256];
    const auto process = [&](const acutance_format* format) {
        return acutance_process(engine, format, in, 16, out, 16, 1.0);
    };
    expect(process(&newer.format) == ACUTANCE_OK, "a newer format that says nothing new");
    newer.colour = 1;
    expect(process(&newer.format) == ACUTANCE_INVALID_ARGUMENT, "a newer format that asks for something unknown");
    newer.format.size = 0;
    expect(process(&newer.format) == ACUTANCE_INVALID_ARGUMENT, "a format without its size");
    newer.format.size = static_cast<size_t>(-1);
    expect(process(&newer.format) == ACUTANCE_INVALID_ARGUMENT, "a format of an absurd size");
    struct NewerCounts {
        acutance_tile_counts counts;
        int merged, split;
    } counts{{sizeof(NewerCounts), -1, -1, -1, -1}, -1, -1};
    acutance_session* session = nullptr;
    expect(acutance_session_open(engine, nullptr, &session) == ACUTANCE_OK, "a session without options");
    expect(acutance_session_counts(session, &counts.counts) == ACUTANCE_OK && counts.merged == 0 &&
               counts.counts.tiles == 0,
           "counts of a newer header");
    counts.counts.size = 0;
    expect(acutance_session_counts(session, &counts.counts) == ACUTANCE_INVALID_ARGUMENT, "counts without their size");
    acutance_session_close(session);
    acutance_free(engine);
    expect(std::string(acutance_version()) == std::to_string(ACUTANCE_VERSION_MAJOR) + "." +
                                                  std::to_string(ACUTANCE_VERSION_MINOR) + "." +
                                                  std::to_string(ACUTANCE_VERSION_PATCH),
           "the header and the library have the same version");
}

// An exception that nothing in the library throws on purpose is reported as a bug of the library.
void check_internal_errors() {
    const std::vector<uint8_t> model = random_model(2, 4, 1);
    acutance_engine* engine = nullptr;
    throw_something_else = true;
    const acutance_status status = acutance_load_memory(model.data(), model.size(), nullptr, &engine);
    throw_something_else = false;
    expect(status == ACUTANCE_INTERNAL_ERROR && std::string(acutance_last_error()).find("internal error") == 0,
           "an unknown exception");
    expect(engine == nullptr, "no engine after an internal error");
}

// After the first frame of a format no frame allocates, in any thread: whole frames, and sessions of every kind.
void check_allocations() {
    const acutance_format format{sizeof format, 320, 200, 8, 0};
    acutance_format larger = format;  // enough for every factor below
    larger.width *= 2;
    larger.height *= 2;
    Plane luma(format, 0, false), out(larger, 0, false);
    for (const auto& [unshuffle, shuffle] :
         {std::pair(1, 1), std::pair(2, 2), std::pair(3, 3), std::pair(1, 2), std::pair(2, 3)}) {
        acutance_engine* engine = load(random_model(unshuffle, 8, 2, shuffle), 4, nullptr);
        const auto process = [&](acutance_session* session) {
            if (session == nullptr) {
                acutance_process(engine, &format, luma.first, luma.stride, out.first, out.stride, 1.0);
            } else {
                acutance_session_process(session, &format, luma.first, luma.stride, out.first, out.stride, 1.0);
            }
        };
        for (const acutance_tile_options options :
             {tiles(0, 0, 0, 0), tiles(200, 0, 0, 0), tiles(0, 1, 0, 0), tiles(200, 1, 0.3, 1e-3)}) {
            acutance_session* session = nullptr;
            acutance_session_open(engine, &options, &session);
            fill(luma, format);
            process(session);
            process(nullptr);
            const long before = allocations;
            for (int frame = 0; frame < 8; ++frame) {
                if (frame % 3 != 1) {  // without fill(), which draws with a distribution of its own
                    for (size_t i = 0; i < luma.memory.size(); i += static_cast<size_t>(frame + 1))
                        luma.memory[i] = static_cast<uint8_t>(generator());
                }
                process(session);
                process(nullptr);
            }
            const long more = allocations - before;
            expect(more == 0, std::to_string(more) + " allocations in later frames");
            acutance_session_close(session);
        }
        acutance_free(engine);
    }
}

// Callers in several threads share one engine; then a child is forked while the engine's threads sleep.
void check_threads() {
    acutance_engine* engine = load(random_model(2, 8, 2), 3, nullptr);
    const acutance_format format{sizeof(acutance_format), 97, 61, 8, 0};
    Plane luma(format, 0, false), expected(format, 0, false);
    fill(luma, format);
    acutance_process(engine, &format, luma.first, luma.stride, expected.first, expected.stride, 1.0);
    const auto same = [&] {
        Plane out(format, 0, false);
        for (int i = 0; i < 20; ++i) {
            acutance_process(engine, &format, luma.first, luma.stride, out.first, out.stride, 1.0);
            if (out.memory != expected.memory) return false;
        }
        return true;
    };
    bool held[4] = {};
    std::vector<std::thread> threads;
    for (bool& result : held) threads.emplace_back([&result, &same] { result = same(); });
    for (std::thread& thread : threads) thread.join();
    for (const bool result : held) expect(result, "callers in several threads");
#if defined(CAN_FORK)
    if (std::getenv("ACUTANCE_NO_FORK") != nullptr) {  // neither qemu's emulation nor ThreadSanitizer can fork threads
        acutance_free(engine);
        return;
    }
    const pid_t child = fork();
    if (child == 0) _exit(same() ? 0 : 1);
    int status = 1;
    waitpid(child, &status, 0);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a forked child");
#endif
    acutance_free(engine);
}

// Memory runs out at each point that asks for it: the call fails, and later frames are right.
void check_memory() {
    const std::vector<uint8_t> model = random_model(2, 8, 2);
    const acutance_format format{sizeof(acutance_format), 150, 90, 8, 0};
    Plane luma(format, 0, false), expected(format, 0, false), out(format, 0, false);
    fill(luma, format);
    for (const int threads : {1, 3}) {
        bool ran_out = true;
        for (int point = 0; ran_out && point < 1000; ++point) {
            acutance_engine* engine = load(model, threads, nullptr);
            acutance_process(engine, &format, luma.first, luma.stride, expected.first, expected.stride, 1.0);
            acutance_free(engine);
            engine = load(model, threads, nullptr);
            const acutance_tile_options options = tiles(0, 1, 0, 0);
            acutance_session* session = nullptr;
            acutance_session_open(engine, &options, &session);
            ran_out = false;
            for (int frame = 0; frame < 4; ++frame) {
                std::fill(out.memory.begin(), out.memory.end(), uint8_t{0});
                if (frame == point % 2) allocations_left = point / 2;
                const acutance_status status =
                    acutance_session_process(session, &format, luma.first, luma.stride, out.first, out.stride, 1.0);
                ran_out = ran_out || (frame == point % 2 && allocations_left < 0);
                allocations_left = LONG_MAX;
                if (status == ACUTANCE_OK) expect(out.memory == expected.memory, "a frame after memory ran out");
                if (status != ACUTANCE_OK) expect(status == ACUTANCE_OUT_OF_MEMORY, "out of memory is called that");
            }
            acutance_session_close(session);
            acutance_free(engine);
            if (point % 2 == 0) ran_out = true;  // the second frame allocates less than the first
        }
    }
}

// Models and pictures at the edge of what is accepted.
void check_extremes() {
    acutance_engine* engine = load(random_model(1, 200, 4), 3, nullptr);
    const acutance_format high{sizeof(acutance_format), 1, 2000, 8, 0};
    Plane column(high, 0, false), sharp(high, 0, false);
    fill(column, high);
    expect(acutance_process(engine, &high, column.first, column.stride, sharp.first, sharp.stride, 1.0) == ACUTANCE_OK,
           "a high picture");
    acutance_free(engine);
    engine = load(random_model(2, 4, 64), 3, nullptr);
    const acutance_format wide{sizeof(acutance_format), 65535, 2, 8, 0};
    Plane luma(wide, 0, false), out(wide, 0, false);
    fill(luma, wide);
    expect(acutance_process(engine, &wide, luma.first, luma.stride, out.first, out.stride, 1.0) == ACUTANCE_OK,
           "a wide picture");
    const acutance_tile_options day = tiles(0, 0, 0, 86400.0);
    acutance_session* session = nullptr;
    expect(acutance_session_open(engine, &day, &session) == ACUTANCE_OK, "session");
    for (int frame = 0; frame < 3; ++frame) {
        acutance_session_process(session, &wide, luma.first, luma.stride, out.first, out.stride, 1.0);
        expect(counts_of(session).passed == 0, "a day is enough for every tile");
    }
    acutance_session_close(session);
    acutance_free(engine);
    expect(acutance_peak(0.01, 2, nullptr) > 0, "the peak");
}

// Parts cover every row of every column once, in any order of taking, and begin with rows of tiles.
void check_parts() {
    using namespace acutance;
    Parts parts;
    for (int round = 0; round < 200; ++round) {
        const int r = number(1, 4), tile = (16 + r - 1) / r;
        const std::vector<uint8_t> model = random_model(r, 2, number(0, 3));
        const Network network = Network::parse(model.data(), model.size());
        Picture picture{};
        picture.width = number(1, 1200);
        picture.height = number(1, 1200);
        const int width = (picture.width + r - 1) / r, height = (picture.height + r - 1) / r;
        const TileMask mask{tile, (width + tile - 1) / tile, (height + tile - 1) / tile, nullptr};
        const bool masked = number(0, 1) != 0;
        parts.plan(network, picture, number(1, 6), masked ? &mask : nullptr);
        struct Owner {
            Part* part;
            int steps;
        };
        std::vector<Owner> owners;
        std::vector<uint8_t> covered(static_cast<size_t>(width) * static_cast<size_t>(height), 0);
        const auto work = [&](Owner& owner) {  // as Renderer::render does
            const int y = owner.part->top - network.depth() + 2 * owner.steps++, bottom = owner.part->advance();
            if (y >= bottom + network.depth()) return false;
            for (int row = std::max(y - network.depth(), owner.part->top);
                 row < std::min(y - network.depth() + 2, bottom); ++row) {
                for (int x = owner.part->left; x < owner.part->right; ++x)
                    ++covered[static_cast<size_t>(row) * static_cast<size_t>(width) + static_cast<size_t>(x)];
            }
            return true;
        };
        for (bool open = true; open || !owners.empty();) {
            if (open && (owners.empty() || number(0, 9) == 0)) {
                Part* part = parts.take();
                open = part != nullptr;
                if (part != nullptr) {
                    expect(part->right - part->left <= parts.widest(), "no part is wider than announced");
                    expect(part->top % (masked ? tile : 2) == 0, "a part begins with a row of tiles");
                    owners.push_back(Owner{part, 0});
                }
                continue;
            }
            const size_t who = static_cast<size_t>(number(0, static_cast<int>(owners.size()) - 1));
            if (!work(owners[who])) owners.erase(owners.begin() + static_cast<ptrdiff_t>(who));
        }
        expect(std::all_of(covered.begin(), covered.end(), [](uint8_t times) { return times == 1; }),
               "every pixel belongs to one part");
    }
}

}  // namespace

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 100;
    generator.seed(argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1);
    check_arguments();
    check_sizes();
    check_internal_errors();
    check_allocations();
    check_damage();
    check_threads();
    check_memory();
    check_extremes();
    check_parts();
    for (int i = 0; i < rounds && failures < 10; ++i) check_one();
    std::printf("%d rounds, %d failures; instruction sets:", rounds, failures);
    for (const char* const* name = acutance_instruction_sets(); *name != nullptr; ++name) std::printf(" %s", *name);
    std::printf("\n");
    return failures == 0 ? 0 : 1;
}
