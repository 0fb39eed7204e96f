// What the WebAssembly build has beside the engine (web/engine.js calls it).
#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>

#include "acutance.h"
#include "enlarge.h"

// libc++abi prints an uncaught exception's type, demangled. The demangler and printf's formats are half of the module,
// and no exception leaves the C interface: both are replaced.
extern "C" char* __cxa_demangle(const char*, char*, size_t*, int* status) {
    if (status != nullptr) *status = -1;
    return nullptr;
}
extern "C" [[noreturn]] void abort_message(const char*, ...) {
    std::abort();
}

// The C interface with plain arguments, so that JavaScript need not know how structs lie in memory. An address of 0 is
// a failure, whose reason acutance_last_error() has.

extern "C" acutance_engine* acutance_js_open(const void* model, size_t size, int threads) {
    acutance_engine_options options{};
    options.size = sizeof options;
    options.threads = threads;
    acutance_engine* engine = nullptr;
    acutance_load_memory(model, size, &options, &engine);
    return engine;
}

extern "C" acutance_session* acutance_js_session(acutance_engine* engine) {
    acutance_session* session = nullptr;
    acutance_session_open(engine, nullptr, &session);
    return session;
}

extern "C" acutance_status acutance_js_options(acutance_session* session, int threshold, int reuse, double tile_budget,
                                               double time_budget) {
    acutance_tile_options options{};
    options.size = sizeof options;
    options.threshold = threshold;
    options.reuse = reuse;
    options.tile_budget = tile_budget;
    options.time_budget = time_budget;
    return acutance_session_set_options(session, &options);
}

extern "C" acutance_status acutance_js_process(acutance_session* session, int width, int height, int bit_depth,
                                               int full_range, const void* luma, int luma_stride, void* out,
                                               int out_stride, double strength) {
    acutance_format format{};
    format.size = sizeof format;
    format.width = width;
    format.height = height;
    format.bit_depth = bit_depth;
    format.full_range = full_range;
    return acutance_session_process(session, &format, luma, luma_stride, out, out_stride, strength);
}

// Tiles of the last frame: all, or those computed, passed through, reused.
extern "C" int acutance_js_count(const acutance_session* session, int which) {
    acutance_tile_counts counts{};
    counts.size = sizeof counts;
    acutance_session_counts(session, &counts);
    const int values[] = {counts.tiles, counts.computed, counts.passed, counts.reused};
    return which >= 0 && which < 4 ? values[which] : 0;
}

extern "C" acutance::Enlarger* acutance_enlarger_open(void) {
    try {
        return new acutance::Enlarger;
    } catch (const std::exception&) {
        return nullptr;
    }
}

extern "C" void acutance_enlarger_close(acutance::Enlarger* enlarger) {
    delete enlarger;
}

// Sizes were checked by the caller (web/engine.js): 8 to 65535, the target at least the source.
extern "C" acutance_status acutance_enlarge(acutance::Enlarger* enlarger, const uint8_t* source, int source_stride,
                                            int width, int height, uint8_t* target, int target_stride, int target_width,
                                            int target_height) {
    try {
        enlarger->enlarge(source, source_stride, width, height, target, target_stride, target_width, target_height);
        return ACUTANCE_OK;
    } catch (const std::exception&) {
        return ACUTANCE_OUT_OF_MEMORY;
    }
}

#if defined(__EMSCRIPTEN_PTHREADS__)

// Where the stack of a thread that was just created ends: the worker that runs it has to set its stack pointer before
// it can call anything.
extern "C" void* acutance_thread_stack_top(pthread_t thread) {
    pthread_attr_t attributes;
    void* lowest = nullptr;
    size_t size = 0;
    if (pthread_getattr_np(thread, &attributes) != 0 || pthread_attr_getstack(&attributes, &lowest, &size) != 0)
        return nullptr;
    return static_cast<char*>(lowest) + size;
}

#endif
