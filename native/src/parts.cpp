#include "parts.h"

#include <algorithm>

#include "renderer.h"

namespace acutance {
namespace {

constexpr int kWidestUnit = 16;      // pixels to which the left side of a part is rounded down, at most
constexpr int kMostBytes = 1 << 20;  // of working memory per thread; measured: below that, speed hardly depends on it

}  // namespace

void Parts::plan(const Network& network, const Picture& picture, int threads, const TileMask* mask) {
    unit_ = mask != nullptr ? mask->tile : 2;
    delay_ = 2 * network.depth();
    least_ = 2 * network.depth() + 8;
    count_ = begun_ = 0;
    const int r = network.unshuffle();
    const int width = (picture.width + r - 1) / r, height = (picture.height + r - 1) / r;
    const int column_unit = mask != nullptr ? mask->tile : 16;
    const int narrowest = 12 * network.depth();
    const int64_t bytes = static_cast<int64_t>(width) * Renderer::bytes_per_column(network);
    const int fewest = static_cast<int>(std::min<int64_t>((bytes + kMostBytes - 1) / kMostBytes, width));
    int columns = fewest, rows = 1;
    int64_t least = INT64_MAX;
    for (int i = fewest; i <= std::max(fewest, std::min(threads, width / narrowest)); ++i) {
        const int j = std::max(1, std::min((threads + i - 1) / i, height / narrowest));
        // Too few parts cost more than any border.
        const int64_t border = static_cast<int64_t>(i - 1) * height + static_cast<int64_t>(j - 1) * width;
        const int64_t cost = border + static_cast<int64_t>(std::max(0, threads - i * j)) * width * height;
        if (cost < least) {
            least = cost;
            columns = i;
            rows = j;
        }
    }
    // Parts whose rows are taken from them keep at least least_ rows, and those that are made of them have as many.
    const size_t most =
        static_cast<size_t>(columns) * (static_cast<size_t>(rows) + static_cast<size_t>(height / least_));
    if (most > capacity_) {
        parts_ = std::make_unique<Part[]>(most);
        capacity_ = most;
    }
    widest_ = std::min(width, width / columns + 1 + kWidestUnit);
    const auto cut = [](int size, int count, int index, int unit) {
        return index == count ? size : static_cast<int>(static_cast<int64_t>(size) * index / count / unit * unit);
    };
    for (int j = 0; j < rows; ++j) {
        for (int i = 0; i < columns; ++i) {
            const int left = cut(width, columns, i, column_unit), right = cut(width, columns, i + 1, column_unit);
            const int top = cut(height, rows, j, unit_), bottom = cut(height, rows, j + 1, unit_);
            if (left < right && top < bottom) add(left, top, right, bottom);
        }
    }
}

void Parts::add(int left, int top, int right, int bottom) {
    Part& part = parts_[count_++];
    part.left = left;
    part.top = top;
    part.right = right;
    part.state_.store(Part::join(0, bottom), std::memory_order_relaxed);
}

int Parts::shares(int threads) const {
    const bool small = count_ == 1 && Part::bottom_of(parts_[0].state_) - parts_[0].top < 2 * least_;
    return small ? 1 : threads;
}

Part* Parts::take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return begun_ < count_ ? &parts_[begun_++] : steal();
}

Part* Parts::steal() {
    while (count_ < capacity_) {
        Part* largest = nullptr;
        uint64_t seen = 0;
        int64_t most = 0;
        int middle = 0;
        for (size_t i = 0; i < count_; ++i) {
            Part& part = parts_[i];
            const uint64_t state = part.state_.load(std::memory_order_relaxed);
            // The first row that the step after the owner's last will finish.
            const int next = std::max(part.top, part.top - delay_ + 2 * Part::steps_of(state));
            const int bottom = Part::bottom_of(state);
            const int cut = (next + (bottom - next + 1) / 2 + unit_ - 1) / unit_ * unit_;
            const int64_t area = static_cast<int64_t>(bottom - cut) * (part.right - part.left);
            if (bottom - cut >= least_ && area > most) {
                largest = &part;
                seen = state;
                most = area;
                middle = cut;
            }
        }
        if (largest == nullptr) return nullptr;
        const int bottom = Part::bottom_of(seen);
        if (!largest->state_.compare_exchange_strong(seen, Part::join(Part::steps_of(seen), middle),
                                                     std::memory_order_relaxed)) {
            continue;  // its owner went on in the meantime
        }
        add(largest->left, middle, largest->right, bottom);
        return &parts_[begun_++];
    }
    return nullptr;
}

}  // namespace acutance
