#include "parts.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace acutance {
namespace {

// Of working memory for each thread; measured: speed hardly depends on it below that.
constexpr int kMostBytes = 1 << 20;

}  // namespace

std::vector<Rectangle> share_out(const Network& network, const Picture& picture, int threads, const TileMask* mask) {
    const int r = network.unshuffle();
    const int width = (picture.width + r - 1) / r, height = (picture.height + r - 1) / r;
    const int unit = mask != nullptr ? mask->tile : 16;
    const int parts = threads == 1 ? 1 : (mask != nullptr ? 4 : 2) * threads;
    const int narrowest = 12 * network.depth();
    const int64_t bytes = static_cast<int64_t>(width) * Renderer::bytes_per_column(network);
    const int fewest = static_cast<int>(std::min<int64_t>((bytes + kMostBytes - 1) / kMostBytes, width));
    int columns = fewest, rows = 1;
    int64_t least = INT64_MAX;
    for (int i = fewest; i <= std::max(fewest, std::min(parts, width / narrowest)); ++i) {
        const int j = std::max(1, std::min((parts + i - 1) / i, height / narrowest));
        // Too few parts are worse than any border.
        const int64_t border = static_cast<int64_t>(i - 1) * height + static_cast<int64_t>(j - 1) * width;
        const int64_t cost = border + static_cast<int64_t>(std::max(0, parts - i * j)) * width * height;
        if (cost < least) {
            least = cost;
            columns = i;
            rows = j;
        }
    }
    std::vector<Rectangle> rectangles;
    const auto cut = [unit](int size, int count, int index) {
        return index == count ? size : static_cast<int>(static_cast<int64_t>(size) * index / count / unit * unit);
    };
    for (int j = 0; j < rows; ++j) {
        for (int i = 0; i < columns; ++i) {
            const Rectangle part{cut(width, columns, i), cut(height, rows, j), cut(width, columns, i + 1),
                                 cut(height, rows, j + 1)};
            if (part.left < part.right && part.top < part.bottom) rectangles.push_back(part);
        }
    }
    if (mask != nullptr) {
        const auto wanted = [mask](const Rectangle& part) {
            int count = 0;
            for (int y = part.top / mask->tile; y < (part.bottom + mask->tile - 1) / mask->tile; ++y) {
                for (int x = part.left / mask->tile; x < (part.right + mask->tile - 1) / mask->tile; ++x) {
                    count += mask->wanted[y * mask->columns + x] != 0 ? 1 : 0;
                }
            }
            return count;
        };
        std::vector<std::pair<int, Rectangle>> weighed;
        for (const Rectangle& part : rectangles) {
            if (const int count = wanted(part); count > 0) weighed.emplace_back(count, part);
        }
        // The largest first: what is left at the end is small, and the threads finish together.
        std::stable_sort(weighed.begin(), weighed.end(),
                         [](const auto& a, const auto& b) { return a.first > b.first; });
        rectangles.clear();
        for (const auto& [count, part] : weighed) rectangles.push_back(part);
    }
    return rectangles;
}

}  // namespace acutance
