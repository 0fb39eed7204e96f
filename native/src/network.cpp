#include "network.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "error.h"

namespace acutance {
namespace {

constexpr char kMagic[8] = {'A', 'C', 'U', 'T', 'A', 'N', 'C', 'E'};
constexpr uint32_t kVersion = 3, kVersionWithoutShuffle = 2;
// docs/engine.md, "The integer network": within these limits every factor of a kernel fits in int16, and twice every
// sum in int32.
constexpr int kMaxWeight = 16383, kLeastSlope = -32766;
constexpr int64_t kSumLimit = int64_t{1} << 30;
constexpr uint32_t kMaxFactor = 8, kMaxScale = 4, kMaxChannels = 256, kMaxDepth = 64;

[[noreturn]] void refuse(const std::string& why) {
    throw Error(ACUTANCE_INVALID_MODEL, "not a usable model: " + why);
}

// Little-endian numbers from bytes that may end too early.
class Reader {
public:
    Reader(const uint8_t* bytes, size_t size) : next_(bytes), left_(size) {}

    const uint8_t* take(size_t count) {
        if (count > left_) refuse("it breaks off");
        const uint8_t* taken = next_;
        next_ += count;
        left_ -= count;
        return taken;
    }
    uint32_t u32() {
        const uint8_t* b = take(4);
        return static_cast<uint32_t>(b[0]) | static_cast<uint32_t>(b[1]) << 8 | static_cast<uint32_t>(b[2]) << 16 |
               static_cast<uint32_t>(b[3]) << 24;
    }
    int32_t i32() {
        const uint32_t bits = u32();
        int32_t value;
        std::memcpy(&value, &bits, sizeof value);
        return value;
    }
    int16_t i16() {
        const uint8_t* b = take(2);
        const uint16_t bits = static_cast<uint16_t>(b[0] | b[1] << 8);
        int16_t value;
        std::memcpy(&value, &bits, sizeof value);
        return value;
    }
    size_t left() const { return left_; }

private:
    const uint8_t* next_;
    size_t left_;
};

}  // namespace

Network Network::parse(const uint8_t* bytes, size_t size) {
    Reader in(bytes, size);
    if (std::memcmp(in.take(sizeof kMagic), kMagic, sizeof kMagic) != 0) refuse("it does not begin like one");
    const uint32_t version = in.u32();
    if (version != kVersion && version != kVersionWithoutShuffle) {
        refuse("format " + std::to_string(version) + ", this library reads formats " +
               std::to_string(kVersionWithoutShuffle) + " and " + std::to_string(kVersion));
    }
    const uint32_t unshuffle = in.u32(), shuffle = version == kVersion ? in.u32() : unshuffle;
    const uint32_t channels = in.u32(), depth = in.u32();
    if (unshuffle < 1 || unshuffle > kMaxFactor || shuffle < unshuffle || shuffle > kMaxFactor ||
        shuffle > kMaxScale * unshuffle || channels < 1 || channels > kMaxChannels || depth > kMaxDepth) {
        refuse("unshuffle " + std::to_string(unshuffle) + ", shuffle " + std::to_string(shuffle) + ", channels " +
               std::to_string(channels) + ", depth " + std::to_string(depth) + " is out of range");
    }
    Network network;
    network.unshuffle_ = static_cast<int>(unshuffle);
    network.shuffle_ = static_cast<int>(shuffle);
    const uint32_t count = depth + 2;
    network.storage_.resize(count);
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t inputs = i == 0 ? unshuffle * unshuffle : channels;
        const uint32_t outputs = i + 1 == count ? shuffle * shuffle : channels;
        const std::string where = "layer " + std::to_string(i) + ", output ";
        if (static_cast<size_t>(inputs) * outputs * 18 > in.left()) refuse("it breaks off");  // before allocating
        const uint32_t pairs = (inputs + 1) / 2, groups = (outputs + kGroup - 1) / kGroup, padded = groups * kGroup;
        Storage& s = network.storage_[i];
        s.weights.assign(static_cast<size_t>(groups) * pairs * kProducts * 3 * kGroup * 2, 0);
        s.bias.assign(padded, 0);
        s.slope.assign(static_cast<size_t>(padded) * 4, 0);
        PackedLayer layer{};
        layer.pairs = static_cast<int>(pairs);
        layer.groups = static_cast<int>(groups);
        layer.shift = in.i32();
        if (layer.shift < 0 || layer.shift > 30) refuse("a shift of " + std::to_string(layer.shift));
        layer.activated = i + 1 < count;
        std::vector<int64_t> sums(outputs, 0);
        for (uint32_t o = 0; o < outputs; ++o) {
            for (uint32_t c = 0; c < inputs; ++c) {
                int kernel[3][3];
                for (auto& row : kernel) {
                    for (int& w : row) w = in.i16();
                }
                for (uint32_t dx = 0; dx < 3; ++dx) {
                    const int above = kernel[0][dx], here = kernel[1][dx], below = kernel[2][dx];
                    const int column = std::abs(above) + std::abs(here) + std::abs(below);
                    if (std::max(std::abs(above), std::abs(below)) > kMaxWeight || column > INT16_MAX) {
                        refuse(where + std::to_string(o) + ": weights of " + std::to_string(above) + ", " +
                               std::to_string(here) + ", " + std::to_string(below) + " are too large");
                    }
                    sums[o] += column;
                    int factors[kProducts];
                    factors[kSum] = above + here + below;
                    factors[kDifference] = above - here + below;
                    factors[kFirst] = 2 * above;
                    factors[kSecond] = -2 * below;
                    for (uint32_t product = 0; product < kProducts; ++product) {
                        const size_t block =
                            ((static_cast<size_t>(o / kGroup) * kProducts + product) * pairs + c / 2) * 3 + dx;
                        s.weights[(block * kGroup + o % kGroup) * 2 + c % 2] = static_cast<int16_t>(factors[product]);
                    }
                }
            }
        }
        for (uint32_t o = 0; o < outputs; ++o) {
            const int32_t bias = in.i32();
            const int64_t bound = sums[o] * kActivationLimit + std::llabs(bias);
            if (bound >= kSumLimit)
                refuse(where + std::to_string(o) + ": its sum could reach " + std::to_string(bound) + " and overflow");
            s.bias[o] = 2 * bias;
        }
        if (layer.activated) {
            for (uint32_t o = 0; o < outputs; ++o) {
                const int16_t slope = in.i16();
                if (slope < kLeastSlope) refuse(where + std::to_string(o) + ": a slope of " + std::to_string(slope));
                std::fill_n(s.slope.begin() + static_cast<ptrdiff_t>(o) * 4, 4, slope);
            }
        }
        layer.weights = s.weights.data();
        layer.bias = s.bias.data();
        layer.slope = s.slope.data();
        network.layers_.push_back(layer);
    }
    if (in.left() != 0) refuse(std::to_string(in.left()) + " bytes too many");
    return network;
}

bool Network::same_shape(const Network& other) const {
    if (unshuffle_ != other.unshuffle_ || shuffle_ != other.shuffle_ || depth() != other.depth()) return false;
    for (int i = 0; i < depth(); ++i) {
        if (layer(i).pairs != other.layer(i).pairs || layer(i).groups != other.layer(i).groups) return false;
    }
    return true;
}

int Network::planes(int index) const {
    const int written = index == 0 ? 0 : layer(index - 1).groups * (kGroup / 2);
    const int read = index == depth() ? 0 : layer(index).pairs;
    return std::max(written, read);
}

}  // namespace acutance
