// Nothing: this file makes CMake build the precompiled header (cmake/Targets.cmake).
