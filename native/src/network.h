// The integer network: read from the bytes of a model, proved not to overflow, and packed for the kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels.h"

namespace acutance {

class Network {
public:
    // Throws Error (ACUTANCE_INVALID_MODEL). The format is described in docs/engine.md, "The file".
    static Network parse(const uint8_t* bytes, size_t size);

    Network(Network&&) = default;  // layers_ points into storage_, which moving keeps in place
    Network(const Network&) = delete;

    bool same_shape(const Network& other) const;

    // A pixel of the network is a square of unshuffle() input samples and shuffle() output samples on a side. The
    // student is an upscaler if they differ.
    int unshuffle() const { return unshuffle_; }
    int shuffle() const { return shuffle_; }
    bool upscales() const { return shuffle_ != unshuffle_; }
    // Returns the output samples of a line of `length` input samples.
    int64_t enlarged(int length) const {
        return (static_cast<int64_t>(length) * shuffle_ + unshuffle_ - 1) / unshuffle_;
    }
    // The number of convolutions, and so how far, in unshuffled pixels, an output sees its input.
    int depth() const { return static_cast<int>(layers_.size()); }
    const PackedLayer& layer(int index) const { return layers_[static_cast<size_t>(index)]; }
    // Returns the planes of pairs in the row that a layer reads (index 0: the unshuffled picture; depth(): the
    // residual). They hold all that the layer before writes, which is a multiple of kGroup channels.
    int planes(int index) const;

private:
    Network() = default;
    struct Storage {
        std::vector<int16_t> weights, slope;
        std::vector<int32_t> bias;
    };

    int unshuffle_ = 0, shuffle_ = 0;
    std::vector<Storage> storage_;
    std::vector<PackedLayer> layers_;
};

}  // namespace acutance
