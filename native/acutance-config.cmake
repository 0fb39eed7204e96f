# find_package(acutance) and link acutance::acutance.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/acutance-targets.cmake)
