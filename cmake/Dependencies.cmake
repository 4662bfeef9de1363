# Everything that the library is built with. docs/dependencies.md says why each is there.
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()

# What was looked for in vain, as Debian calls it, and a line on each.
set(missing_packages "")
set(missing_lines "")

# Looks for a package, and notes it if it is missing: one message names them all. A macro, since a
# package's variables are for the caller. QUIET, since the package says no more than that message.
macro(torch_checkpoint_need debian_package package)
  find_package(${package} ${ARGN} QUIET)
  if(NOT ${package}_FOUND)
    list(APPEND missing_packages ${debian_package})
    torch_checkpoint_note_missing(${debian_package} ${package} ${ARGN})
  endif()
endmacro()

function(torch_checkpoint_note_missing debian_package package)
  set(line "  ${package}")
  if(ARGC GREATER 2)
    string(APPEND line " ${ARGV2} or later")
  endif()
  string(APPEND line ": Debian's ${debian_package}")
  set(found_version "${${package}_CONSIDERED_VERSIONS}${${package}_VERSION}")
  if(found_version)
    string(APPEND line " (found ${found_version})")
  endif()
  set(missing_lines "${missing_lines}${line}\n" PARENT_SCOPE)
endfunction()

torch_checkpoint_need(libtorch-dev Torch)
torch_checkpoint_need(nlohmann-json3-dev nlohmann_json 3.10)
torch_checkpoint_need(libspdlog-dev spdlog)
torch_checkpoint_need(libxxhash-dev xxHash 0.8)
torch_checkpoint_need(libdeflate-dev libdeflate 1.10)
torch_checkpoint_need(zlib1g-dev ZLIB)
torch_checkpoint_need(libc6-dev Threads)
if(TORCH_CHECKPOINT_BUILD_CLI OR TORCH_CHECKPOINT_BUILD_SAMPLES OR TORCH_CHECKPOINT_BUILD_BENCH)
  torch_checkpoint_need(libcli11-dev CLI11)
endif()
if(TORCH_CHECKPOINT_BUILD_TESTS)
  torch_checkpoint_need(catch2 Catch2)
endif()
if(missing_packages)
  list(JOIN missing_packages " " missing_packages)
  message(FATAL_ERROR "What TorchCheckpoint is built with is not all here. Missing:\n"
    "${missing_lines}"
    "On Debian, ${PROJECT_SOURCE_DIR}/scripts/packages installs it, or as root:\n"
    "  apt-get install --no-install-recommends ${missing_packages}\n"
    "Elsewhere install its counterparts, and name in CMAKE_PREFIX_PATH where they are. "
    "docs/dependencies.md says what each is for.")
endif()

# What find_package brings is seen in this directory and below. Who adds this project as a
# subdirectory stands above, and links LibTorch by way of the library.
get_property(found_targets DIRECTORY PROPERTY IMPORTED_TARGETS)
foreach(target IN LISTS found_targets)
  set_target_properties(${target} PROPERTIES IMPORTED_GLOBAL TRUE)
endforeach()

# LibTorch says itself which C++ it needs: its headers hold an #error for anything older.
set(TORCH_CHECKPOINT_CXX_STANDARD 17)
foreach(dir IN LISTS TORCH_INCLUDE_DIRS)
  if(EXISTS "${dir}/torch/all.h")
    file(STRINGS "${dir}/torch/all.h" needs_cxx20 REGEX "__cplusplus < 202002L")
    if(needs_cxx20)
      set(TORCH_CHECKPOINT_CXX_STANDARD 20)
    endif()
  endif()
endforeach()
string(REGEX MATCH "^[0-9]+\\.[0-9]+" TORCH_CHECKPOINT_TORCH_MAJOR_MINOR "${Torch_VERSION}")
message(STATUS "LibTorch ${Torch_VERSION}, C++${TORCH_CHECKPOINT_CXX_STANDARD}")
