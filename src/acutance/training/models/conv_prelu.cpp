// 3x3 convolution + bias + PReLU for training, float32, on the processor.
//
// Why: with 8 to 32 channels a convolution has too little work per pixel for the general kernels; what they lose goes
// to reordering, to passes over memory (bias, PReLU, padding) and to loops too short to fill the FMA units.
//
// Layout
//   images   N x H x W x C (torch's channels_last), so eight outputs of one pixel are one vector.
//   rows     the kernels read three zero-padded rows at a time, (W + 2) x stride, from a ring that stays in L1; stride
//            is C rounded up to a multiple of 8 (an input of 4 stays 4). No inner loop has a branch for the border.
//   weights  per block of 8 outputs: [row j][input c][column k][8 outputs], missing outputs filled with zeros.
// Gradients need three rows of (masked) output gradients at a time, for the data and for the weights alike: one walk
// over the image makes each of those rows once and uses it for both.
// Sums over pixels are kept per image and added in the order of the images: results do not depend on the threads.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <tuple>
#ifdef __FMA__
#include <immintrin.h>
#endif

namespace {

#define UNROLL _Pragma("GCC unroll 16")
#define INLINE inline __attribute__((always_inline))

// Eight floats: one AVX register; a compiler without AVX splits it into what the processor has.
typedef float v8 __attribute__((vector_size(32)));
typedef float v8u __attribute__((vector_size(32), aligned(4), may_alias));
typedef float v4u __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t i8 __attribute__((vector_size(32)));

INLINE v8 load(const float* p) { return *reinterpret_cast<const v8u*>(p); }
INLINE void store(float* p, v8 v) { *reinterpret_cast<v8u*>(p) = v; }
INLINE v8 all(const float* p) { return v8{*p, *p, *p, *p, *p, *p, *p, *p}; }
INLINE v8 pairs(const float* p) {  // p[0] p[1] p[0] p[1] ...
  typedef double d4 __attribute__((vector_size(32)));
  double d;
  std::memcpy(&d, p, sizeof d);
  return (v8)d4{d, d, d, d};
}
INLINE v8 twice(v8 v) { return __builtin_shufflevector(v, v, 0, 0, 1, 1, 2, 2, 3, 3); }
INLINE v8 fold(v8 v) {  // sums of pairs, in the first four lanes
  return __builtin_shufflevector(v, v, 0, 2, 4, 6, 0, 2, 4, 6) + __builtin_shufflevector(v, v, 1, 3, 5, 7, 1, 3, 5, 7);
}
// The first `lanes` floats; 8 and 4 are the counts that matter and have to stay in registers.
INLINE v8 load_lanes(const float* p, int64_t lanes) {
  if (lanes >= 8) return load(p);
  if (lanes == 4) return __builtin_shufflevector(*reinterpret_cast<const v4u*>(p), v4u{}, 0, 1, 2, 3, 4, 5, 6, 7);
  float t[8] = {};
  std::copy_n(p, lanes, t);
  return load(t);
}
INLINE void store_lanes(float* p, v8 v, int64_t lanes) {
  if (lanes >= 8) return store(p, v);
  if (lanes == 4) {
    *reinterpret_cast<v4u*>(p) = __builtin_shufflevector(v, v, 0, 1, 2, 3);
    return;
  }
  float t[8];
  store(t, v);
  std::copy_n(t, lanes, p);
}
INLINE v8 fma(v8 a, v8 b, v8 c) {
#ifdef __FMA__  // spelled out: when tuning for Zen, GCC splits chains of a * b + c into two instructions
  return (v8)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}
INLINE v8 select(i8 mask, v8 yes, v8 no) { return (v8)(((i8)yes & mask) | ((i8)no & ~mask)); }

int64_t round8(int64_t c) { return (c + 7) / 8 * 8; }

constexpr int P = 12;  // pixels summed in registers at once: leaves room for three weights and one broadcast value

// One row of eight outputs. CS is the stride of the rows in floats, 0 where it is known only at run time. With PAIR, for
// up to four outputs, the lanes hold two inputs of each, so that half a register is not wasted.
template <int CS, bool PAIR>
void conv_row(const float* const* rows, int64_t width, int64_t cin, int64_t stride, const float* w, const float* bias,
              const float* slope, float* z, float* y, int64_t cout, int64_t lanes) {
  const int64_t cs = CS ? CS : stride;
  constexpr int step = PAIR ? 2 : 1;
  for (int64_t x0 = 0; x0 < width; x0 += P) {
    v8 acc[P] = {};
    const float* wp = w;
    for (int j = 0; j < 3; ++j) {
      const float* x = rows[j] + x0 * cs;
      for (int64_t c = 0; c < cin; c += step, x += step, wp += 24) {
        const v8 w0 = load(wp), w1 = load(wp + 8), w2 = load(wp + 16);
        // Each broadcast value serves the three columns: loads, not arithmetic, are the bottleneck here.
        const auto value = [&](int q) __attribute__((always_inline)) { return PAIR ? pairs(x + q * cs) : all(x + q * cs); };
        v8 a = value(0);
        acc[0] = fma(a, w0, acc[0]);
        a = value(1);
        acc[1] = fma(a, w0, acc[1]);
        acc[0] = fma(a, w1, acc[0]);
        UNROLL for (int q = 2; q < P; ++q) {
          a = value(q);
          acc[q] = fma(a, w0, acc[q]);
          acc[q - 1] = fma(a, w1, acc[q - 1]);
          acc[q - 2] = fma(a, w2, acc[q - 2]);
        }
        a = value(P);
        acc[P - 1] = fma(a, w1, acc[P - 1]);
        acc[P - 2] = fma(a, w2, acc[P - 2]);
        acc[P - 1] = fma(value(P + 1), w2, acc[P - 1]);
      }
    }
    const v8 b = load(bias);
    UNROLL for (int p = 0; p < P; ++p) {
      if (x0 + p >= width) break;
      v8 out = (PAIR ? fold(acc[p]) : acc[p]) + b;
      const int64_t at = (x0 + p) * cout;
      if (slope) {
        if (z) store_lanes(z + at, out, lanes);
        out = select(out > v8{}, out, out * load(slope));
      }
      store_lanes(y + at, out, lanes);
    }
  }
}

using ConvRow = decltype(&conv_row<0, false>);
template <bool PAIR>
ConvRow conv_row_for(int64_t stride) {  // a stride known to the compiler turns every address into a constant offset
  switch (stride) {
    case 4: return conv_row<4, PAIR>;
    case 8: return conv_row<8, PAIR>;
    case 16: return conv_row<16, PAIR>;
    case 24: return conv_row<24, PAIR>;
    case 32: return conv_row<32, PAIR>;
    case 48: return conv_row<48, PAIR>;
    case 64: return conv_row<64, PAIR>;
    default: return conv_row<0, PAIR>;
  }
}

// Packed weights, and the loop over blocks of eight outputs.
struct Conv {
  int64_t cin, cout, stride, step, size;
  at::Tensor packed;
  ConvRow kernel;

  // weight is O x I x 3 x 3; with `transposed` this is the convolution that carries gradients back from O to I.
  Conv(const at::Tensor& weight, bool transposed)
      : cin(weight.size(transposed ? 0 : 1)), cout(weight.size(transposed ? 1 : 0)),
        stride(cin == 4 && !transposed ? 4 : round8(cin)), step(cout <= 4 ? 2 : 1), size((cin + step - 1) / step * 72),
        packed(at::zeros({size * round8(cout) / 8}, weight.options())),
        kernel(step == 2 ? conv_row_for<true>(stride) : conv_row_for<false>(stride)) {
    const float* w = weight.const_data_ptr<float>();
    float* out = packed.mutable_data_ptr<float>();
    for (int64_t o = 0; o < cout; ++o)
      for (int64_t c = 0; c < cin; ++c)
        for (int64_t t = 0; t < 9; ++t)  // t = 3 j + k
          out[o / 8 * size + (t / 3 * (size / 72) + c / step) * 24 + t % 3 * 8 + o % 8 * step + c % step] =
              transposed ? w[(c * cout + o) * 9 + 8 - t] : w[(o * cin + c) * 9 + t];
  }
  void row(const float* const* rows, int64_t width, const float* bias, const float* slope, float* z, float* y) const {
    for (int64_t o = 0; o < cout; o += 8)
      kernel(rows, width, cin, stride, packed.const_data_ptr<float>() + o / 8 * size, bias + o,
             slope ? slope + o : nullptr, z ? z + o : nullptr, y + o, cout, cout - o);
  }
};

// Three padded rows that move down the image, and a row of zeros for the lines above and below it.
struct Ring {
  int64_t row_size;
  at::Tensor memory;
  float* base;
  Ring(int64_t width, int64_t stride)  // a last, partial block of pixels reads (and ignores) up to P beyond the row
      : row_size((width + 2 + P) * stride), memory(at::zeros({4 * row_size}, at::kFloat)),
        base(memory.mutable_data_ptr<float>()) {}
  float* slot(int64_t y, int64_t height) { return base + (y < 0 || y >= height ? 3 : y % 3) * row_size; }
  std::array<const float*, 3> around(int64_t y, int64_t height) {
    return {slot(y - 1, height), slot(y, height), slot(y + 1, height)};
  }
};

// sums[input b][k][8 outputs] += x[p][b] * g[p + k][output] over the pixels of a row. Twelve accumulators for NB = 4
// inputs, fed by four broadcasts and three vectors a pixel. With PAIR b counts pairs of inputs, as in conv_row, and the
// rows of g hold every output twice.
template <int NB, bool PAIR>
void weight_row(const float* x, int64_t cin, const float* g, int64_t stride, int64_t width, float* sums) {
  v8 acc[NB][3];
  UNROLL for (int b = 0; b < NB; ++b) UNROLL for (int k = 0; k < 3; ++k) acc[b][k] = load(sums + 8 * (3 * b + k));
  for (int64_t p = 0; p < width; ++p, x += cin, g += stride) {
    const v8 g0 = load(g), g1 = load(g + stride), g2 = load(g + 2 * stride);
    UNROLL for (int b = 0; b < NB; ++b) {
      const v8 a = PAIR ? pairs(x + 2 * b) : all(x + b);
      acc[b][0] = fma(a, g0, acc[b][0]);
      acc[b][1] = fma(a, g1, acc[b][1]);
      acc[b][2] = fma(a, g2, acc[b][2]);
    }
  }
  UNROLL for (int b = 0; b < NB; ++b) UNROLL for (int k = 0; k < 3; ++k) store(sums + 8 * (3 * b + k), acc[b][k]);
}

// All of a row: sums[block of 8 outputs][j][input or pair][k][8 outputs].
template <bool PAIR>
void weight_rows(const float* x, int64_t cin, const float* const* g, int64_t stride, int64_t width, float* sums) {
  constexpr int step = PAIR ? 2 : 1;
  static constexpr decltype(&weight_row<1, PAIR>) kernels[] = {weight_row<1, PAIR>, weight_row<2, PAIR>,
                                                               weight_row<3, PAIR>, weight_row<4, PAIR>};
  for (int64_t o = 0; o < stride; o += 8)
    for (int j = 0; j < 3; ++j)
      for (int64_t c = 0, n; c < cin; c += n * step, sums += 24 * n) {
        n = std::min<int64_t>(4, (cin - c) / step);
        kernels[n - 1](x + c, cin, g[j] + o, stride, width, sums);
      }
}

// One padded row of gradients before the PReLU (and, for up to four outputs, another with each of them twice), and the
// sums for the bias and the slope.
void masked_row(const float* gy, const float* z, const float* slope, int64_t cout, int64_t stride, int64_t width,
                float* out, float* doubled, float* bias_sum, float* slope_sum) {
  for (int64_t o = 0; o < cout; o += 8) {
    const int64_t lanes = cout - o;
    v8 bs = load(bias_sum + o), ss = load(slope_sum + o);
    const v8 s = slope ? load(slope + o) : v8{};
    for (int64_t p = 0; p < width; ++p) {
      v8 g = load_lanes(gy + p * cout + o, lanes);
      if (slope) {
        const v8 zv = load_lanes(z + p * cout + o, lanes);
        const i8 on = zv > v8{};
        ss += select(on, v8{}, g * zv);
        g = select(on, g, g * s);
      }
      bs += g;
      store(out + (p + 1) * stride + o, g);
      if (doubled) store(doubled + (p + 1) * stride, twice(g));
    }
    store(bias_sum + o, bs);
    store(slope_sum + o, ss);
  }
}

at::Tensor padded(const at::Tensor& v, int64_t n) {  // a vector of channels, filled up with zeros to whole registers
  at::Tensor out = at::zeros({round8(n)}, v.options());
  out.narrow(0, 0, n).copy_(v);
  return out;
}

// Whether y, the output, is enough for the gradients of the PReLU: positive slopes keep the sign, and z = y / slope.
bool from_output(const std::optional<at::Tensor>& slope) {
  if (!slope) return true;
  const at::Tensor s = slope->contiguous();
  const float* p = s.const_data_ptr<float>();
  return std::all_of(p, p + s.numel(), [](float v) { return v >= 1e-3f; });
}

at::Tensor image_like(const at::Tensor& x, int64_t channels) {
  return at::empty({x.size(0), channels, x.size(2), x.size(3)}, x.options().memory_format(at::MemoryFormat::ChannelsLast));
}

// (y, z): z, the value before the PReLU, is empty where y is enough for the gradients.
std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                           const std::optional<at::Tensor>& slope) {
  const int64_t images = x.size(0), height = x.size(2), width = x.size(3);
  const Conv conv(weight, false);
  const at::Tensor b = padded(bias, conv.cout), s = slope ? padded(*slope, conv.cout) : at::Tensor();
  const at::Tensor y = image_like(x, conv.cout), z = from_output(slope) ? at::empty({0}, x.options()) : image_like(x, conv.cout);
  const float *xp = x.const_data_ptr<float>(), *bp = b.const_data_ptr<float>();
  const float* sp = slope ? s.const_data_ptr<float>() : nullptr;
  float *yp = y.mutable_data_ptr<float>(), *zp = z.numel() ? z.mutable_data_ptr<float>() : nullptr;
  const int64_t in_row = width * conv.cin, out_row = width * conv.cout;
  at::parallel_for(0, images, 1, [&](int64_t from, int64_t to) {
    Ring ring(width, conv.stride);
    for (int64_t n = from; n < to; ++n) {
      const auto fetch = [&](int64_t r) {
        if (r >= height) return;
        float* to_row = ring.slot(r, height) + conv.stride;
        const float* in = xp + (n * height + r) * in_row;
        if (conv.stride == conv.cin) {
          std::memcpy(to_row, in, static_cast<size_t>(in_row) * sizeof(float));
        } else {
          for (int64_t p = 0; p < width; ++p) std::copy_n(in + p * conv.cin, conv.cin, to_row + p * conv.stride);
        }
      };
      fetch(0);
      for (int64_t r = 0; r < height; ++r) {
        fetch(r + 1);
        const std::array<const float*, 3> rows = ring.around(r, height);
        const int64_t at = (n * height + r) * out_row;
        conv.row(rows.data(), width, bp, sp, zp ? zp + at : nullptr, yp + at);
      }
    }
  });
  return {y, z};
}

// The gradients of x, weight, bias and slope; z is what forward returned, y where that was empty.
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> backward(const at::Tensor& gy, const at::Tensor& x,
                                                                    const at::Tensor& weight, const at::Tensor& z,
                                                                    const std::optional<at::Tensor>& slope,
                                                                    bool need_gx, bool need_gw) {
  TORCH_CHECK(!slope || z.sizes() == gy.sizes(), "z must have the size of gy");
  const int64_t images = x.size(0), height = x.size(2), width = x.size(3);
  const Conv conv(weight, true);  // from the outputs back to the inputs
  const int64_t cin = conv.cout, cout = conv.cin, stride = conv.stride;
  const bool pair = cout <= 4 && cin % 2 == 0;
  const int64_t step = pair ? 2 : 1, wsize = 9 * cin / step * stride;
  const at::Tensor none = at::zeros({round8(cin)}, x.options()), s = slope ? padded(*slope, cout) : at::Tensor();
  const at::Tensor gx = need_gx ? image_like(x, cin) : at::empty({0}, x.options());
  // Sums of one image after the other: weights, then bias, then slope.
  const int64_t part = wsize + 2 * stride;
  const at::Tensor sums = at::zeros({images, part}, x.options());
  const float *gp = gy.const_data_ptr<float>(), *xp = x.const_data_ptr<float>();
  const float *np = none.const_data_ptr<float>(), *sp = slope ? s.const_data_ptr<float>() : nullptr;
  const float* zp = slope ? z.const_data_ptr<float>() : nullptr;
  float *gxp = need_gx ? gx.mutable_data_ptr<float>() : nullptr, *sump = sums.mutable_data_ptr<float>();
  const int64_t in_row = width * cin, out_row = width * cout;
  at::parallel_for(0, images, 1, [&](int64_t from, int64_t to) {
    Ring ring(width, stride), doubled(pair ? width : 0, stride);
    for (int64_t n = from; n < to; ++n) {
      float* mine = sump + n * part;
      const auto fetch = [&](int64_t r) {
        if (r >= height) return;
        const int64_t at = (n * height + r) * out_row;
        masked_row(gp + at, zp ? zp + at : nullptr, sp, cout, stride, width, ring.slot(r, height),
                   pair ? doubled.slot(r, height) : nullptr, mine + wsize, mine + wsize + stride);
      };
      fetch(0);
      for (int64_t r = 0; r < height; ++r) {
        fetch(r + 1);
        const std::array<const float*, 3> rows = ring.around(r, height);
        const int64_t at = (n * height + r) * in_row;
        if (need_gx) conv.row(rows.data(), width, np, nullptr, nullptr, gxp + at);
        if (need_gw && pair)
          weight_rows<true>(xp + at, cin, doubled.around(r, height).data(), stride, width, mine);
        else if (need_gw)
          weight_rows<false>(xp + at, cin, rows.data(), stride, width, mine);
      }
    }
  });
  const at::Tensor total = at::zeros({part}, x.options());
  float* t = total.mutable_data_ptr<float>();
  for (int64_t n = 0; n < images; ++n)
    for (int64_t i = 0; i < part; ++i) t[i] += sump[n * part + i];
  if (slope && from_output(slope))
    for (int64_t o = 0; o < cout; ++o) t[wsize + stride + o] /= sp[o];
  const at::Tensor gw = at::empty({cout, cin, 3, 3}, x.options());
  float* gwp = gw.mutable_data_ptr<float>();
  for (int64_t j = 0; j < 3; ++j)  // tap (j, k) of the gradients' rows is tap (2 - j, 2 - k) of the weights
    for (int64_t c = 0; c < cin; ++c)
      for (int64_t o = 0; o < cout; ++o)
        for (int64_t k = 0; k < 3; ++k)
          gwp[(o * cin + c) * 9 + 8 - 3 * j - k] =
              t[((o / 8 * 3 + j) * (cin / step) + c / step) * 24 + k * 8 + o % 8 * step + c % step];
  return {gx, gw, total.narrow(0, wsize, cout).clone(), total.narrow(0, wsize + stride, cout).clone()};
}

}  // namespace

TORCH_LIBRARY(acutance_train, m) {
  m.def("conv3x3_prelu(Tensor x, Tensor weight, Tensor bias, Tensor? slope) -> (Tensor, Tensor)");
  m.def("conv3x3_prelu_backward(Tensor gy, Tensor x, Tensor weight, Tensor z, Tensor? slope, bool need_gx, "
        "bool need_gw) -> (Tensor, Tensor, Tensor, Tensor)");
}
TORCH_LIBRARY_IMPL(acutance_train, CPU, m) {
  m.impl("conv3x3_prelu", forward);
  m.impl("conv3x3_prelu_backward", backward);
}
