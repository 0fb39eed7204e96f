#include "dispatch.h"

#include <cstdint>
#include <cstdlib>

#include "error.h"

#if defined(ACUTANCE_X86)
#if defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace acutance {
namespace {

#if defined(ACUTANCE_X86)

struct Registers {
    uint32_t eax, ebx, ecx, edx;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
    Registers r{};
#if defined(_MSC_VER)
    int values[4];
    __cpuidex(values, static_cast<int>(leaf), static_cast<int>(subleaf));
    r = {static_cast<uint32_t>(values[0]), static_cast<uint32_t>(values[1]), static_cast<uint32_t>(values[2]),
         static_cast<uint32_t>(values[3])};
#else
    if (!__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx)) return Registers{};
#endif
    return r;
}

// Which vector registers the operating system saves when it switches threads.
uint64_t saved_registers() {
#if defined(_MSC_VER)
    return _xgetbv(0);
#else
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return static_cast<uint64_t>(high) << 32 | low;
#endif
}

bool bit(uint32_t word, int index) {
    return (word >> index & 1U) != 0;
}

std::vector<const Kernels*> find_kernels() {
    std::vector<const Kernels*> found;
    const uint32_t last = cpuid(0, 0).eax;
    const Registers base = cpuid(1, 0);
    if (last >= 7 && bit(base.ecx, 27)) {  // OSXSAVE: xgetbv may be asked
        const uint64_t saved = saved_registers();
        const bool ymm = (saved & 0x6) == 0x6, zmm = (saved & 0xe6) == 0xe6;
        const Registers more = cpuid(7, 0);
        // F, DQ, CD, BW, VL: what compilers may use where they are told of AVX-512, and every processor with BW has.
        const bool avx512 = zmm && bit(more.ebx, 16) && bit(more.ebx, 17) && bit(more.ebx, 28) && bit(more.ebx, 30) &&
                            bit(more.ebx, 31);
        const bool avx2 = ymm && bit(more.ebx, 5);
        if (avx512 && bit(more.ecx, 11)) found.push_back(&kAvx512Vnni);
        if (avx512) found.push_back(&kAvx512);
#if defined(ACUTANCE_AVXVNNI)
        if (avx2 && bit(more.eax >= 1 ? cpuid(7, 1).eax : 0, 4)) found.push_back(&kAvxVnni);
#endif
        if (avx2) found.push_back(&kAvx2);
    }
    found.push_back(&kPortable);
    return found;
}

#elif defined(ACUTANCE_ARM64)

std::vector<const Kernels*> find_kernels() {
    return {&kNeon, &kPortable};
}  // every AArch64 processor has NEON

#elif defined(ACUTANCE_WASM)

std::vector<const Kernels*> find_kernels() {
    return {&kWasm, &kPortable};
}  // a runtime without SIMD refuses the module as a whole

#else

std::vector<const Kernels*> find_kernels() {
    return {&kPortable};
}

#endif

}  // namespace

const std::vector<const Kernels*>& runnable_kernels() {
    static const std::vector<const Kernels*> found = find_kernels();
    return found;
}

const Kernels& choose_kernels(const char* name) {
    if (name == nullptr) name = std::getenv("ACUTANCE_INSTRUCTION_SET");
    if (name == nullptr || *name == '\0') return *runnable_kernels().front();
    std::string known;
    for (const Kernels* kernels : runnable_kernels()) {
        if (name == std::string(kernels->name)) return *kernels;
        known += known.empty() ? "" : ", ";
        known += kernels->name;
    }
    throw Error(ACUTANCE_UNSUPPORTED,
                "instruction set '" + std::string(name) + "' cannot run here; this machine runs: " + known);
}

}  // namespace acutance
