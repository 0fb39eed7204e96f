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
