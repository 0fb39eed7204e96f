// The C interface: checks arguments, and turns exceptions into status codes.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "acutance.h"
#include "dispatch.h"
#include "engine.h"
#include "error.h"
#include "session.h"

namespace {

using namespace acutance;

constexpr int kMaxThreads = 256, kMaxSide = 65535;
constexpr size_t kLargestFile = 64U << 20;
constexpr size_t kLargestStruct = 1024;  // a larger size was never set

[[noreturn]] void invalid(const std::string& why) {
    throw Error(ACUTANCE_INVALID_ARGUMENT, why);
}

template <class Struct>
void check_size(const Struct* given, const char* name) {
    if (given->size < sizeof(Struct) || given->size > kLargestStruct) {
        invalid(std::string(name) + ": a size of " + std::to_string(given->size) + "; set it to the " +
                std::to_string(sizeof(Struct)) + " bytes of the structure");
    }
}

// Copies a structure of the caller's, which may be newer than this library (acutance.h, "Structures begin with their
// size").
template <class Struct>
Struct read_struct(const Struct* given, const char* name) {
    check_size(given, name);
    const auto* bytes = reinterpret_cast<const uint8_t*>(given);
    for (size_t i = sizeof(Struct); i < given->size; ++i) {
        if (bytes[i] != 0) invalid(std::string(name) + ": a field that this version of the library does not know");
    }
    return *given;
}

// Returns whether any byte may belong to both planes. Planes side by side in one buffer, such as the halves of a split
// view, do not overlap.
bool overlap(const Picture& picture) {
    const auto extent = [](const uint8_t* first, ptrdiff_t stride, ptrdiff_t row, int height) {
        const ptrdiff_t span = stride * (height - 1);
        return std::pair(reinterpret_cast<uintptr_t>(first + std::min<ptrdiff_t>(span, 0)),
                         reinterpret_cast<uintptr_t>(first + std::max<ptrdiff_t>(span, 0) + row));
    };
    const ptrdiff_t row = static_cast<ptrdiff_t>(picture.width) * picture.sample_bytes();
    const ptrdiff_t out_row = static_cast<ptrdiff_t>(picture.out_width) * picture.sample_bytes();
    const auto [luma_begin, luma_end] = extent(picture.luma, picture.luma_stride, row, picture.height);
    const auto [out_begin, out_end] = extent(picture.out, picture.out_stride, out_row, picture.out_height);
    if (luma_end <= out_begin || out_end <= luma_begin) return false;
    const ptrdiff_t pitch = std::abs(picture.luma_stride);
    if (pitch != std::abs(picture.out_stride) || picture.height == 1 || picture.out_height == 1) return true;
    // Rows have the same pitch: they overlap where their places within it do.
    const uintptr_t distance =
        (out_begin > luma_begin ? out_begin - luma_begin : luma_begin - out_begin) % static_cast<uintptr_t>(pitch);
    const ptrdiff_t after = static_cast<ptrdiff_t>(distance), before = pitch - after;
    const bool out_is_later = out_begin > luma_begin;
    return after < (out_is_later ? row : out_row) || before < (out_is_later ? out_row : row);
}

acutance_format check_format(const acutance_format* format) {
    if (format == nullptr) invalid("format must not be NULL");
    return read_struct(format, "acutance_format");
}

void check_side(int width, int height) {
    if (width < 1 || width > kMaxSide || height < 1 || height > kMaxSide)
        invalid("a picture of " + std::to_string(width) + "x" + std::to_string(height) + " pixels");
}

// Returns the size of the output for an input of that size.
std::pair<int, int> output_size(const Network& network, int width, int height) {
    check_side(width, height);
    const int64_t out_width = network.enlarged(width), out_height = network.enlarged(height);
    if (out_width > kMaxSide || out_height > kMaxSide) {
        invalid("a picture of " + std::to_string(width) + "x" + std::to_string(height) + " pixels, enlarged to " +
                std::to_string(out_width) + "x" + std::to_string(out_height) + "; a side may have up to " +
                std::to_string(kMaxSide));
    }
    return {static_cast<int>(out_width), static_cast<int>(out_height)};
}

Picture check_picture(const Network& network, const acutance_format& format, const void* luma, ptrdiff_t luma_stride,
                      void* out, ptrdiff_t out_stride, double strength) {
    if (luma == nullptr || out == nullptr) invalid("luma and out must not be NULL");
    const auto [out_width, out_height] = output_size(network, format.width, format.height);
    if (format.bit_depth < 8 || format.bit_depth > 16) invalid("a bit depth of " + std::to_string(format.bit_depth));
    if (!(strength >= 0.0 && strength <= 2.0))
        invalid("a strength of " + std::to_string(strength) + ", which is not 0 to 2");
    Picture picture{};
    picture.kind = format.bit_depth == 8 ? Kind::kCodes8 : Kind::kCodes16;
    picture.width = format.width;
    picture.height = format.height;
    picture.out_width = out_width;
    picture.out_height = out_height;
    picture.samples = make_samples(format, strength);
    picture.luma = static_cast<const uint8_t*>(luma);
    picture.out = static_cast<uint8_t*>(out);
    picture.luma_stride = luma_stride;
    picture.out_stride = out_stride;
    const auto check_stride = [&picture](ptrdiff_t stride, int width, int height) {
        const ptrdiff_t row = static_cast<ptrdiff_t>(width) * picture.sample_bytes();
        const ptrdiff_t largest = std::numeric_limits<ptrdiff_t>::max() / height;
        const bool apart = height == 1 || stride >= row || stride <= -row;
        if (!apart || stride > largest || stride < -largest)
            invalid("a stride of " + std::to_string(stride) + " bytes for rows of " + std::to_string(row));
        if (picture.sample_bytes() == 2 && stride % 2 != 0) invalid("an odd stride for 16-bit samples");
    };
    check_stride(luma_stride, picture.width, picture.height);
    check_stride(out_stride, picture.out_width, picture.out_height);
    if (picture.sample_bytes() == 2 &&
        (reinterpret_cast<uintptr_t>(luma) % 2 != 0 || reinterpret_cast<uintptr_t>(out) % 2 != 0)) {
        invalid("16-bit samples at an odd address");
    }
    if (overlap(picture)) invalid("luma and out overlap");
    return picture;
}

// An array: it needs no memory when there is none left, and no destructor at the end of a thread, which
// Emscripten 3.1.6 cannot register.
thread_local char last_error[1024] = "";

void set_last_error(const char* kind, const char* message) noexcept {
    std::snprintf(last_error, sizeof last_error, "%s%s", kind, message);
}

// Runs a call and returns its status. Only what the library throws on purpose, and lack of memory, can be the caller's
// or the machine's fault; any other exception is a bug.
template <class Call>
acutance_status guarded(Call&& call) noexcept {
    try {
        call();
        return ACUTANCE_OK;
    } catch (const Error& error) {
        set_last_error("", error.what());
        return error.status;
    } catch (const std::bad_alloc&) {
        set_last_error("", "out of memory");
        return ACUTANCE_OUT_OF_MEMORY;
    } catch (const std::exception& error) {
        set_last_error("internal error: ", error.what());
        return ACUTANCE_INTERNAL_ERROR;
    } catch (...) {
        set_last_error("internal error: ", "an exception of an unknown type");
        return ACUTANCE_INTERNAL_ERROR;
    }
}

acutance_engine_options check_engine_options(const acutance_engine_options* options) {
    acutance_engine_options given{};
    if (options != nullptr) given = read_struct(options, "acutance_engine_options");
    if (given.threads < 0 || given.threads > kMaxThreads)
        invalid(std::to_string(given.threads) + " threads; accepted: 0 to " + std::to_string(kMaxThreads));
    if (given.threads == 0)
        given.threads = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads);
    return given;
}

acutance_tile_options check_tile_options(const acutance_tile_options* options) {
    if (options == nullptr) return acutance_tile_options{};
    const acutance_tile_options given = read_struct(options, "acutance_tile_options");
    if (given.threshold < 0) invalid("a threshold of " + std::to_string(given.threshold));
    if (!(given.tile_budget >= 0.0 && given.tile_budget <= 1.0)) invalid("a tile budget that is not a share of 0 to 1");
    if (!(given.time_budget >= 0.0) || std::isinf(given.time_budget))
        invalid("a time budget that is not a number of seconds");
    return given;
}

}  // namespace

extern "C" {

const char* acutance_version(void) {
    return ACUTANCE_VERSION;
}

const char* acutance_last_error(void) {
    return last_error;
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

acutance_status acutance_load_memory(const void* model, size_t model_size, const acutance_engine_options* options,
                                     acutance_engine** engine) {
    return guarded([&] {
        if (engine == nullptr) invalid("engine must not be NULL");
        *engine = nullptr;
        if (model == nullptr) invalid("model must not be NULL");
        const acutance_engine_options checked = check_engine_options(options);
        Network network = Network::parse(static_cast<const uint8_t*>(model), model_size);
        *engine = new acutance_engine(std::move(network), choose_kernels(checked.instruction_set), checked.threads,
                                      checked.pin_threads != 0);
    });
}

acutance_status acutance_load(const char* path, const acutance_engine_options* options, acutance_engine** engine) {
    std::vector<uint8_t> bytes;
    const acutance_status status = guarded([&] {
        if (engine == nullptr) invalid("engine must not be NULL");
        *engine = nullptr;
        if (path == nullptr) invalid("path must not be NULL");
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
                                options, engine);
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

acutance_status acutance_output_size(const acutance_engine* engine, int width, int height, int* out_width,
                                     int* out_height) {
    return guarded([&] {
        if (engine == nullptr || out_width == nullptr || out_height == nullptr)
            invalid("engine, out_width and out_height must not be NULL");
        std::tie(*out_width, *out_height) = output_size(engine->network, width, height);
    });
}

acutance_status acutance_process(acutance_engine* engine, const acutance_format* format, const void* luma,
                                 ptrdiff_t luma_stride, void* out, ptrdiff_t out_stride, double strength) {
    return guarded([&] {
        if (engine == nullptr) invalid("engine must not be NULL");
        const acutance_format checked = check_format(format);
        engine->process(check_picture(engine->network, checked, luma, luma_stride, out, out_stride, strength),
                        strength);
    });
}

acutance_status acutance_residual(acutance_engine* engine, int width, int height, const int16_t* luma,
                                  ptrdiff_t luma_stride, int16_t* residual, ptrdiff_t residual_stride) {
    return guarded([&] {
        if (engine == nullptr) invalid("engine must not be NULL");
        // int16 samples have the same size and alignment as 16-bit codes, which this checks.
        const acutance_format format{sizeof(acutance_format), width, height, 16, 0};
        Picture picture = check_picture(engine->network, format, luma, luma_stride, residual, residual_stride, 1.0);
        picture.kind = Kind::kActivations;
        engine->process(picture, 1.0);
    });
}

acutance_status acutance_session_open(acutance_engine* engine, const acutance_tile_options* options,
                                      acutance_session** session) {
    return guarded([&] {
        if (session == nullptr) invalid("session must not be NULL");
        *session = nullptr;
        if (engine == nullptr) invalid("engine must not be NULL");
        *session = new acutance_session(*engine, check_tile_options(options));
    });
}

void acutance_session_close(acutance_session* session) {
    delete session;
}

acutance_status acutance_session_set_options(acutance_session* session, const acutance_tile_options* options) {
    return guarded([&] {
        if (session == nullptr) invalid("session must not be NULL");
        session->options = check_tile_options(options);
    });
}

acutance_status acutance_session_set_model(acutance_session* session, const void* model, size_t size) {
    return guarded([&] {
        if (session == nullptr || model == nullptr) invalid("session and model must not be NULL");
        session->set_network(Network::parse(static_cast<const uint8_t*>(model), size));
    });
}

acutance_status acutance_session_process(acutance_session* session, const acutance_format* format, const void* luma,
                                         ptrdiff_t luma_stride, void* out, ptrdiff_t out_stride, double strength) {
    return guarded([&] {
        if (session == nullptr) invalid("session must not be NULL");
        const acutance_format checked = check_format(format);
        session->process(check_picture(session->network(), checked, luma, luma_stride, out, out_stride, strength),
                         checked, strength);
    });
}

acutance_status acutance_session_counts(const acutance_session* session, acutance_tile_counts* counts) {
    return guarded([&] {
        if (session == nullptr || counts == nullptr) invalid("session and counts must not be NULL");
        check_size(counts, "acutance_tile_counts");
        const size_t size = counts->size;
        std::memset(counts, 0, size);  // fields of a newer header, which this library does not count
        *counts = session->counts;
        counts->size = size;
    });
}

void acutance_session_reset(acutance_session* session) {
    if (session != nullptr) session->forget();
}

double acutance_peak(double seconds, int threads, const char* instruction_set) {
    double total = 0;
    const acutance_status status = guarded([&] {
        const Kernels& kernels = choose_kernels(instruction_set);
        if (!(seconds > 0 && seconds <= 60) || threads < 1 || threads > kMaxThreads)
            invalid("seconds or threads out of range");
        std::vector<double> rates(static_cast<size_t>(threads), 0.0);
        Pool pool(threads, false);
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
