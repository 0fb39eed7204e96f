// AVX2: vpmaddwd and vpaddd.
#include "kernels.h"

#if defined(ACUTANCE_X86)
#define ACUTANCE_AVX2_MULTIPLY_ADD(sums, x, w) _mm256_add_epi32(sums, _mm256_madd_epi16(x, w))
#include "kernels_avx2.h"

namespace acutance {

const Kernels kAvx2 = make_kernels<Avx2>("avx2");

}  // namespace acutance

#endif
