// AVX-VNNI: AVX2 with multiplication and addition in one instruction.
#include "kernels.h"

#if defined(ACUTANCE_X86) && defined(ACUTANCE_AVXVNNI)
#define ACUTANCE_AVX2_MULTIPLY_ADD(sums, x, w) _mm256_dpwssd_avx_epi32(sums, x, w)
#include "kernels_avx2.h"

namespace acutance {

const Kernels kAvxVnni = make_kernels<Avx2>("avxvnni");

}  // namespace acutance

#endif
