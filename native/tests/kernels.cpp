// Tests every kernel of every instruction set against the portable one, on random and extreme input: all pixels that a
// kernel has to write are equal, and it writes nothing outside the memory that it may write.
//
//   acutance_kernels [ROUNDS [SEED]]
#include "../src/kernels.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "../src/dispatch.h"
#include "../src/picture.h"

namespace {

using namespace acutance;

std::mt19937 generator;
int failures = 0;

int number(int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(generator);
}

// Mostly values from the whole range; in one array of three, only its extremes.
template <class T>
std::vector<T> random_values(size_t count, int low, int high) {
    std::vector<T> values(count);
    const bool extreme = number(0, 2) == 0;
    for (T& value : values) value = static_cast<T>(extreme ? (number(0, 1) != 0 ? high : low) : number(low, high));
    return values;
}

void fail(const Kernels& kernels, const char* kernel, const std::string& where) {
    std::printf("failed: %s %s: %s\n", kernels.name, kernel, where.c_str());
    ++failures;
}

// Calls `run(kernels, out)` with both and compares. The first `margin` elements and all from `allowed` on have to stay
// as they are; between `margin + count` and `allowed` vectors may write anything.
template <class T, class Run>
void compare(const Kernels& kernels, const char* kernel, size_t margin, size_t count, size_t allowed, size_t size,
             Run&& run) {
    const std::vector<T> before = random_values<T>(size, 0, 127);
    std::vector<T> expected = before, out = before;
    run(kPortable, expected.data() + margin);
    run(kernels, out.data() + margin);
    for (size_t i = 0; i < size; ++i) {
        const bool inside = i >= margin && i < margin + count, untouched = i < margin || i >= margin + allowed;
        if (inside && out[i] != expected[i]) {
            return fail(kernels, kernel,
                        "element " + std::to_string(i - margin) + " of " + std::to_string(count) + " is " +
                            std::to_string(out[i]) + ", expected " + std::to_string(expected[i]));
        }
        if (untouched && out[i] != before[i])
            return fail(kernels, kernel,
                        "wrote element " + std::to_string(static_cast<long>(i) - static_cast<long>(margin)));
    }
}

void check_conv(const Kernels& kernels) {
    const int pairs = number(1, 9), groups = number(1, 5);
    const int begin = number(1, 70), pixels = number(1, number(0, 3) == 0 ? 300 : 40), end = begin + pixels;
    PackedLayer layer{};
    layer.pairs = pairs;
    layer.groups = groups;
    layer.shift = number(0, 30);
    layer.activated = number(0, 1) != 0;
    const size_t outputs = static_cast<size_t>(groups) * kGroup;
    const auto weights =
        random_values<int16_t>(outputs * kProducts * static_cast<size_t>(pairs) * 3 * 2, -32768, 32767);
    const auto bias = random_values<int32_t>(outputs, -(1 << 30), 1 << 30);
    std::vector<int16_t> slope(outputs * 4);
    for (size_t o = 0; o < outputs; ++o)
        std::fill_n(slope.begin() + static_cast<ptrdiff_t>(o) * 4, 4, static_cast<int16_t>(number(-32766, 32767)));
    layer.weights = weights.data();
    layer.bias = bias.data();
    layer.slope = slope.data();

    const int overrun = std::max(kernels.overrun, kPortable.overrun);
    const size_t plane = 2 * static_cast<size_t>(end + 1 + overrun);
    std::vector<int16_t> source[4];
    ConvRows rows{};
    for (int i = 0; i < 4; ++i) {
        source[i] =
            random_values<int16_t>(plane * static_cast<size_t>(pairs), 1 - kActivationLimit, kActivationLimit - 1);
        rows.source[i] = source[i].data();
    }
    rows.source_plane = static_cast<ptrdiff_t>(plane);
    rows.target_plane = static_cast<ptrdiff_t>(plane);
    rows.begin = begin;
    rows.end = end;
    // The planes of a layer's outputs lie one after another, so each is compared on its own below.
    const size_t planes = outputs / 2, size = planes * plane;
    std::vector<int16_t> expected[2], out[2];
    const std::vector<int16_t> before = random_values<int16_t>(size, -9, 9);
    for (int which = 0; which < 2; ++which) {
        const Kernels& used = which == 0 ? kPortable : kernels;
        std::vector<int16_t>* results = which == 0 ? expected : out;
        std::vector<int16_t> scratch(static_cast<size_t>(used.scratch_of_pair * pairs) + 32);
        void* aligned = scratch.data();
        size_t space = scratch.size() * sizeof(int16_t);
        rows.scratch = static_cast<int16_t*>(std::align(64, 64, aligned, space));
        for (int i = 0; i < 2; ++i) {
            results[i] = before;
            rows.target[i] = results[i].data();
        }
        used.conv(layer, rows);
    }
    for (int i = 0; i < 2; ++i) {
        for (size_t at = 0; at < size; ++at) {
            const int x = static_cast<int>(at % plane) / 2;
            const std::string where = "row " + std::to_string(i) + ", pixel " + std::to_string(x) + " of " +
                                      std::to_string(begin) + " to " + std::to_string(end) + ", " +
                                      std::to_string(pairs) + " pairs, " + std::to_string(groups) + " groups";
            if (x >= begin && x < end && out[i][at] != expected[i][at]) return fail(kernels, "conv", where);
            if ((x < begin || x >= end + kernels.overrun) && out[i][at] != before[at])
                return fail(kernels, "conv", "wrote " + where);
        }
    }
}

Samples random_samples(bool deep) {
    const int depths[] = {9, 10, 12, 13, 14, 16};
    acutance_format format{sizeof format, 1, 1, deep ? depths[number(0, 5)] : 8, number(0, 1)};
    return make_samples(format, number(0, 20) / 10.0);
}

// Weights as small as those of an enlargement, so that sums fit in 32 bits.
void random_weights(int bits, int32_t* weights) {
    const int largest = (1 << (kSumBits - bits)) / 4;
    for (int j = 0; j < 4; ++j) weights[j] = number(-largest, largest + largest / 2);
}

template <class Code>
void check_rows(const Kernels& kernels) {
    constexpr bool deep = sizeof(Code) == 2;
    const Samples samples = random_samples(deep);
    const size_t count = static_cast<size_t>(number(1, 150)), margin = static_cast<size_t>(number(1, 40));
    const int largest = deep ? 65535 : 255;
    const auto codes = random_values<Code>(count, 0, largest);
    const auto residual = random_values<int16_t>(count, -kActivationLimit, kActivationLimit - 1);
    const int n = static_cast<int>(count);
    compare<int16_t>(kernels, deep ? "load16" : "load8", margin, count, count, count + 2 * margin,
                     [&](const Kernels& used, int16_t* out) {
                         if constexpr (deep) used.load16(samples, codes.data(), out, n);
                         if constexpr (!deep) used.load8(samples, codes.data(), out, n);
                     });
    compare<Code>(kernels, deep ? "emit16" : "emit8", margin, count, count, count + 2 * margin,
                  [&](const Kernels& used, Code* out) {
                      if constexpr (deep) used.emit16(samples, codes.data(), residual.data(), out, n);
                      if constexpr (!deep) used.emit8(samples, codes.data(), residual.data(), out, n);
                  });
    const int step = number(1, 3);
    const auto line = random_values<Code>(count * static_cast<size_t>(step) + 3, 0, largest);
    int32_t weights[4];
    random_weights(samples.bits, weights);
    compare<Code>(kernels, deep ? "widen16" : "widen8", margin, count, count, count + 2 * margin,
                  [&](const Kernels& used, Code* out) {
                      if constexpr (deep) used.widen16(samples, line.data(), step, weights, out, n);
                      if constexpr (!deep) used.widen8(samples, line.data(), step, weights, out, n);
                  });
    EnlargedRow row{};
    row.phases = number(2, kMaxPhases);
    random_weights(samples.bits, row.weights);
    row.plane = static_cast<ptrdiff_t>(count) + number(0, 9);
    row.residual_plane = 2 * row.plane;
    row.first_channel = number(0, row.phases - 1) * row.phases;
    std::vector<Code> inputs[4];
    for (int j = 0; j < 4; ++j) {
        inputs[j] = random_values<Code>(static_cast<size_t>(row.plane * row.phases), 0, samples.top);
        row.rows[j] = inputs[j].data();
    }
    const size_t pairs = static_cast<size_t>(row.first_channel + row.phases + 1) / 2;
    const auto channels = random_values<int16_t>(pairs * static_cast<size_t>(row.residual_plane), -kActivationLimit,
                                                 kActivationLimit - 1);
    row.residual = number(0, 3) == 0 ? nullptr : channels.data();
    const size_t enlarged = count * static_cast<size_t>(row.phases) - static_cast<size_t>(number(0, row.phases - 1));
    compare<Code>(kernels, deep ? "enlarge16" : "enlarge8", margin, enlarged, enlarged, enlarged + 2 * margin,
                  [&](const Kernels& used, Code* out) {
                      const int length = static_cast<int>(enlarged);
                      if constexpr (deep) used.enlarge16(samples, row, out, length);
                      if constexpr (!deep) used.enlarge8(samples, row, out, length);
                  });
    std::vector<Code> rows[3];
    for (std::vector<Code>& row : rows) row = random_values<Code>(count + 2, 0, largest);
    using Largest = std::conditional_t<deep, int32_t, int16_t>;
    compare<Largest>(kernels, deep ? "activity16" : "activity8", margin, count, count, count + 2 * margin,
                     [&](const Kernels& used, Largest* out) {
                         const Code *above = rows[0].data() + 1, *here = rows[1].data() + 1,
                                    *below = rows[2].data() + 1;
                         if constexpr (deep) used.activity16(samples.top, above, here, below, out, n);
                         if constexpr (!deep) used.activity8(above, here, below, out, n);
                     });
}

}  // namespace

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 2000;
    generator.seed(argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1);
    for (const Kernels* kernels : runnable_kernels()) {
        const int before = failures;
        for (int i = 0; i < rounds && failures < before + 10; ++i) {
            check_conv(*kernels);
            check_rows<uint8_t>(*kernels);
            check_rows<uint16_t>(*kernels);
        }
        std::printf("%s: %d rounds, %d failures\n", kernels->name, rounds, failures - before);
    }
    return failures == 0 ? 0 : 1;
}
