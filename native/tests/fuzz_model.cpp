// Feeds bytes to the model parser, and runs a frame through whatever it accepts. A libFuzzer target:
//
//   CC=clang CXX=clang++ cmake -B build/fuzz -DACUTANCE_TESTS=ON -DACUTANCE_SANITIZE=address -DACUTANCE_LIBFUZZER=ON &&
//   cmake --build build/fuzz && build/fuzz/acutance_fuzz_model -max_total_time=60
//
// Other compilers link it with fuzz_driver.cpp.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "acutance.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const acutance_engine_options options{sizeof options, 1, 0, nullptr};
    acutance_engine* engine = nullptr;
    const uint8_t nothing = 0;
    const acutance_status status = acutance_load_memory(size == 0 ? &nothing : data, size, &options, &engine);
    if (status == ACUTANCE_OK) {
        const acutance_format format{sizeof format, 37, 21, 8, 0};
        int width = 0, height = 0;
        if (acutance_output_size(engine, 37, 21, &width, &height) != ACUTANCE_OK) std::abort();
        std::vector<uint8_t> luma(37 * 21), out(static_cast<size_t>(width) * static_cast<size_t>(height));
        for (size_t i = 0; i < luma.size(); ++i) luma[i] = static_cast<uint8_t>(i * i * 31 >> 3);
        if (acutance_process(engine, &format, luma.data(), 37, out.data(), width, 2.0) != ACUTANCE_OK) std::abort();
        acutance_free(engine);
    } else if (status != ACUTANCE_INVALID_MODEL || engine != nullptr) {
        std::fprintf(stderr, "status %d: %s\n", status, acutance_last_error());
        std::abort();
    }
    return 0;
}
