// Errors inside the library: thrown here, turned into a status and a message at the C interface.
#pragma once

#include <stdexcept>
#include <string>

#include "acutance.h"

namespace acutance {

struct Error : std::runtime_error {
    Error(acutance_status code, const std::string& message) : std::runtime_error(message), status(code) {}
    const acutance_status status;
};

}  // namespace acutance
