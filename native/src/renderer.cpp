#include "renderer.h"

#include <algorithm>
#include <memory>

namespace acutance {
namespace {

constexpr int kRows = 4;      // rows of a layer's input that two rows of its output depend on
constexpr size_t kLine = 32;  // int16s in a cache line

}  // namespace

int Renderer::bytes_per_column(const Network& network) {
    int planes = 0;
    for (int ring = 0; ring <= network.depth(); ++ring) planes += network.planes(ring);
    return planes * kRows * 2 * static_cast<int>(sizeof(int16_t));
}

int Renderer::columns_of(int pixels) const {
    // One pixel of zeros on either side, and room for what vectors write past the end.
    return pixels + 2 * (network_->depth() + 1) + kernels_.overrun;
}

ptrdiff_t Renderer::plane_of(int columns) {
    // An odd number of cache lines: otherwise the planes of a row would share few sets of the first-level cache.
    return ((2 * static_cast<ptrdiff_t>(columns) + 31) / 32 | 1) * 32;
}

void Renderer::reserve(const Picture& picture, int widest) {
    const int depth = network_->depth(), columns = columns_of(widest);
    const ptrdiff_t plane = plane_of(columns);
    const auto grow = [](std::vector<int16_t>& memory, ptrdiff_t size) {
        if (memory.size() < static_cast<size_t>(size)) memory.resize(static_cast<size_t>(size), 0);
    };
    rings_.resize(static_cast<size_t>(depth) + 1);
    int most_planes = 0;
    for (int i = 0; i <= depth; ++i) {
        Ring& ring = rings_[static_cast<size_t>(i)];
        ring.planes = network_->planes(i);
        most_planes = std::max(most_planes, ring.planes);
        grow(ring.memory, kRows * ring.planes * plane);
        ring.spans.reserve(static_cast<size_t>(widest));  // a tile may be as small as a pixel
    }
    grow(zeros_, most_planes * plane);
    grow(scratch_, most_planes * kernels_.scratch_of_pair + static_cast<ptrdiff_t>(kLine));
    grow(line_, static_cast<ptrdiff_t>(columns) * network_->shuffle());
    reserve_to_enlarge(picture, widest);
}

void Renderer::reserve_to_enlarge(const Picture& picture, int widest) {
    spans_.reserve(static_cast<size_t>(widest));
    bicubic_.reserve(picture, widest);
}

void Renderer::prepare(const Picture& picture, const Part& part) {
    const int r = network_->unshuffle(), depth = network_->depth();
    left_ = part.left;
    top_ = part.top;
    right_ = part.right;
    width_ = (picture.width + r - 1) / r;
    height_ = (picture.height + r - 1) / r;
    origin_ = left_ - depth - 1;
    plane_ = plane_of(columns_of(right_ - left_));
    if (network_->upscales() && picture.kind != Kind::kActivations) bicubic_.begin(picture, left_, right_);
    for (int i = 0; i <= depth; ++i) {
        Ring& ring = rings_[static_cast<size_t>(i)];
        ring.first_tile_row = ring.last_tile_row = -1;
        if (origin_ < 0) {  // zeros left of the picture
            for (int slot = 0; slot < kRows * ring.planes; ++slot) {
                int16_t* before = ring.memory.data() + slot * plane_ + at(-1);
                before[0] = before[1] = 0;
            }
        }
        if (i == 0 && r % 2 != 0) {  // an odd number of channels: the last one has no partner
            for (int slot = 0; slot < kRows; ++slot) {
                int16_t* last = ring.memory.data() + ((slot + 1) * ring.planes - 1) * plane_;
                std::fill(last, last + plane_, int16_t{0});
            }
        }
    }
}

int16_t* Renderer::row(int ring, int y) {
    Ring& r = rings_[static_cast<size_t>(ring)];
    return r.memory.data() + (y & (kRows - 1)) * r.planes * plane_;
}

const int16_t* Renderer::row_or_zeros(int ring, int y) {
    return y < 0 || y >= height_ ? zeros_.data() : row(ring, y);
}

// Finds the pixels of rows y and y + 1 that a ring needs: those that the wanted pixels depend on. Returns false if
// there are none.
bool Renderer::find_spans(int ring, int y, const TileMask* mask) {
    const int reach = network_->depth() - ring;
    Ring& r = rings_[static_cast<size_t>(ring)];
    if (y + 1 < std::max(0, top_ - reach) || y >= std::min(height_, bottom_ + reach)) return false;
    const int left = std::max(0, left_ - reach), right = std::min(width_, right_ + reach);
    if (mask == nullptr) {
        r.spans.assign(1, Span{left, right});
        return true;
    }
    // Other parts compute the tiles above and below, as they do those at the sides.
    const int first = std::max(y - reach, top_) / mask->tile;
    const int last = std::min(y + 1 + reach, bottom_ - 1) / mask->tile;
    if (first == r.first_tile_row && last == r.last_tile_row) return !r.spans.empty();
    r.first_tile_row = first;
    r.last_tile_row = last;
    r.spans.clear();
    const int columns_end = (right_ - 1) / mask->tile + 1;
    for (int column = left_ / mask->tile; column < columns_end; ++column) {
        uint8_t wanted = 0;
        for (int tile_row = first; tile_row <= last; ++tile_row)
            wanted |= mask->wanted[tile_row * mask->columns + column];
        if (wanted == 0) continue;
        const int begin = std::max(left, column * mask->tile - reach);
        const int end = std::min(right, (column + 1) * mask->tile + reach);
        if (!r.spans.empty() && begin <= r.spans.back().end) {
            r.spans.back().end = end;
        } else {
            r.spans.push_back(Span{begin, end});
        }
    }
    return !r.spans.empty();
}

// Writes zeros right of the picture, where the last vectors of the rows wrote something else.
void Renderer::close_edges(int ring, int y) {
    if (rings_[static_cast<size_t>(ring)].spans.back().end < width_) return;
    for (const int line : {y, y + 1}) {
        int16_t* after = row(ring, line) + at(width_);
        for (int plane = 0; plane < rings_[static_cast<size_t>(ring)].planes; ++plane) {
            after[plane * plane_] = after[plane * plane_ + 1] = 0;
        }
    }
}

void Renderer::load(const Picture& picture, int y) {
    const int r = network_->unshuffle();
    for (int line = std::max(y, 0); line < std::min(y + 2, height_); ++line) {
        int16_t* target = row(0, line);
        for (const Span span : rings_[0].spans) {
            for (int dy = 0; dy < r; ++dy) {
                if (r == 2) {  // a plane of pairs is a row of the picture: nothing to rearrange
                    load_row(kernels_, picture, 2 * line + dy, 2 * span.begin, 2 * span.end,
                             target + dy * plane_ + at(span.begin));
                    continue;
                }
                load_row(kernels_, picture, r * line + dy, r * span.begin, r * span.end, line_.data());
                if (r == 1) {  // one channel, whose partner stays zero
                    int16_t* out = target + at(span.begin);
                    for (int x = 0; x < span.end - span.begin; ++x) out[2 * x] = line_[static_cast<size_t>(x)];
                    continue;
                }
                for (int dx = 0; dx < r; ++dx) {
                    const int channel = dy * r + dx;
                    int16_t* out = target + (channel / 2) * plane_ + channel % 2 + at(span.begin);
                    const int16_t* in = line_.data() + dx;
                    for (int x = span.begin; x < span.end; ++x, in += r, out += 2) *out = *in;
                }
            }
        }
    }
    close_edges(0, y);
}

void Renderer::convolve(int layer, int y) {
    ConvRows task{};
    for (int dy = 0; dy < kRows; ++dy) task.source[dy] = row_or_zeros(layer, y + dy - 1);
    task.source_plane = task.target_plane = plane_;
    for (int dy = 0; dy < 2; ++dy) task.target[dy] = row(layer + 1, y + dy);
    void* scratch = scratch_.data();
    size_t space = scratch_.size() * sizeof(int16_t);
    task.scratch = static_cast<int16_t*>(std::align(kLine * sizeof(int16_t), 1, scratch, space));
    for (const Span span : rings_[static_cast<size_t>(layer) + 1].spans) {
        task.begin = span.begin - origin_;
        task.end = span.end - origin_;
        kernels_.conv(network_->layer(layer), task);
    }
    close_edges(layer + 1, y);
}

void Renderer::emit(const Picture& picture, int y) {
    const int b = network_->shuffle(), ring = network_->depth();
    const std::vector<Span>& spans = rings_[static_cast<size_t>(ring)].spans;
    for (int line = y; line < std::min(y + 2, bottom_); ++line) {
        const int16_t* residual = row(ring, line);
        if (network_->upscales() && picture.kind != Kind::kActivations) {
            bicubic_.emit(picture, line, spans, residual + at(left_), plane_);
            continue;
        }
        for (const Span span : spans) {
            for (int dy = 0; dy < b; ++dy) {
                if (b == 2) {
                    emit_row(kernels_, picture, 2 * line + dy, 2 * span.begin, 2 * span.end,
                             residual + dy * plane_ + at(span.begin));
                    continue;
                }
                for (int dx = 0; dx < b; ++dx) {
                    const int channel = dy * b + dx;
                    const int16_t* in = residual + (channel / 2) * plane_ + channel % 2 + at(span.begin);
                    int16_t* out = line_.data() + dx;
                    for (int x = span.begin; x < span.end; ++x, out += b, in += 2) *out = *in;
                }
                emit_row(kernels_, picture, b * line + dy, b * span.begin, b * span.end, line_.data());
            }
        }
    }
}

void Renderer::enlarge(const Picture& picture, int begin, int end, int columns) {
    bicubic_.begin(picture, 0, columns);
    for (int y = begin; y < end; ++y) bicubic_.emit(picture, y, spans_, nullptr, 0);
}

void Renderer::render(const Picture& picture, Part& part, const TileMask* mask) {
    prepare(picture, part);
    const int depth = network_->depth();
    // The residual's pairs of rows begin at the top of the part, so they lie within a row of tiles if tiles have an
    // even number of rows. Steps count from the first row that any layer needs, even if it lies above the picture,
    // because Parts relies on that.
    for (int y = top_ - depth;; y += 2) {
        bottom_ = part.advance();
        if (y >= bottom_ + depth) break;
        if (find_spans(0, y, mask)) load(picture, y);
        for (int layer = 0; layer < depth; ++layer) {
            const int here = y - 1 - layer;
            if (find_spans(layer + 1, here, mask)) {
                convolve(layer, here);
                if (layer + 1 == depth) emit(picture, here);
            }
        }
    }
}

}  // namespace acutance
