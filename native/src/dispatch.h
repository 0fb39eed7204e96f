// Which kernels this processor runs: decided in one place.
#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace acutance {

// Those this build has and this processor runs, fastest first. Never empty.
const std::vector<const Kernels*>& runnable_kernels();

// By name; nullptr: what ACUTANCE_INSTRUCTION_SET says, else the fastest. Throws Error (ACUTANCE_UNSUPPORTED).
const Kernels& choose_kernels(const char* name);

}  // namespace acutance
