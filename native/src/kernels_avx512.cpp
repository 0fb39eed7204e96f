// AVX-512: vpmaddwd and vpaddd.
#include "kernels.h"

#if defined(ACUTANCE_X86)
#define ACUTANCE_AVX512_MULTIPLY_ADD(sums, x, w) _mm512_add_epi32(sums, _mm512_madd_epi16(x, w))
#include "kernels_avx512.h"

namespace acutance {

const Kernels kAvx512 = make_kernels<Avx512>("avx512");

}  // namespace acutance

#endif
