// Runs the model fuzzer without libFuzzer: mutations of small valid models, drawn from a seed, so that a failure can be
// repeated.
//
//   acutance_fuzz_model [RUNS [SEED]]
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

std::mt19937 generator;

int number(int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(generator);
}

void append(std::vector<uint8_t>& bytes, int value, int count) {
    for (int i = 0; i < count; ++i) bytes.push_back(static_cast<uint8_t>(static_cast<unsigned>(value) >> (8 * i)));
}

// A valid model (docs/engine.md, "The file").
std::vector<uint8_t> valid_model() {
    std::vector<uint8_t> bytes{'A', 'C', 'U', 'T', 'A', 'N', 'C', 'E'};
    const int unshuffle = number(1, 3), shuffle = number(unshuffle, 4), channels = number(1, 5), depth = number(0, 2);
    const int layers = depth + 2;
    for (const int value : {3, unshuffle, shuffle, channels, depth}) append(bytes, value, 4);
    for (int layer = 0; layer < layers; ++layer) {
        const bool first = layer == 0, last = layer + 1 == layers;
        const int inputs = first ? unshuffle * unshuffle : channels, outputs = last ? shuffle * shuffle : channels;
        append(bytes, number(8, 16), 4);
        for (int i = 0; i < 9 * inputs * outputs; ++i) append(bytes, number(-600, 600), 2);
        for (int i = 0; i < outputs; ++i) append(bytes, number(-100000, 100000), 4);
        for (int i = 0; !last && i < outputs; ++i) append(bytes, number(-32766, 32767), 2);
    }
    return bytes;
}

int position(const std::vector<uint8_t>& bytes) {  // near the beginning as often as anywhere
    const int last = static_cast<int>(bytes.size()) - 1;
    return number(0, number(0, 1) != 0 ? last : std::min(last, 32));
}

void mutate(std::vector<uint8_t>& bytes) {
    static const int interesting[] = {0, 1, 2, 3, 8, 9, 255, 256, 257, 16383, 16384, 32767, 32768, 65535, 1 << 30, -1};
    switch (number(0, 5)) {
        case 0:  // a bit
            bytes[static_cast<size_t>(position(bytes))] ^= static_cast<uint8_t>(1 << number(0, 7));
            break;
        case 1:  // a byte
            bytes[static_cast<size_t>(position(bytes))] = static_cast<uint8_t>(number(0, 255));
            break;
        case 2: {  // a number
            std::vector<uint8_t> value;
            append(value, interesting[number(0, 15)], number(0, 1) != 0 ? 4 : 2);
            const int at = position(bytes) & ~1;
            for (size_t i = 0; i < value.size() && static_cast<size_t>(at) + i < bytes.size(); ++i)
                bytes[static_cast<size_t>(at) + i] = value[i];
            break;
        }
        case 3:  // the end is missing
            bytes.resize(static_cast<size_t>(position(bytes)) + 1);
            break;
        case 4: {  // something is inserted
            std::vector<uint8_t> more(static_cast<size_t>(number(1, 40)));
            for (uint8_t& byte : more) byte = static_cast<uint8_t>(number(0, 255));
            bytes.insert(bytes.begin() + position(bytes), more.begin(), more.end());
            break;
        }
        default: {  // something is removed
            const int at = position(bytes), count = std::min(number(1, 40), static_cast<int>(bytes.size()) - at);
            bytes.erase(bytes.begin() + at, bytes.begin() + at + count);
            if (bytes.empty()) bytes.push_back(0);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    const int runs = argc > 1 ? std::atoi(argv[1]) : 20000;
    generator.seed(argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1);
    LLVMFuzzerTestOneInput(nullptr, 0);
    for (int run = 0; run < runs; ++run) {
        std::vector<uint8_t> bytes = valid_model();
        for (int i = number(0, 4); i > 0; --i) mutate(bytes);
        LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    }
    std::printf("%d runs\n", runs);
    return 0;
}
