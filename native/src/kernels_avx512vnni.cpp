// AVX-512 VNNI: multiplication and addition in one instruction.
#include "kernels.h"

#if defined(ACUTANCE_X86)
#define ACUTANCE_AVX512_MULTIPLY_ADD(sums, x, w) _mm512_dpwssd_epi32(sums, x, w)
#include "kernels_avx512.h"

namespace acutance {

const Kernels kAvx512Vnni = make_kernels<Avx512>("avx512vnni");

}  // namespace acutance

#endif
