# What every target of this project is compiled with.
function(torch_checkpoint_target target)
  target_compile_features(${target} PUBLIC cxx_std_${TORCH_CHECKPOINT_CXX_STANDARD})
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic
                         $<$<BOOL:${TORCH_CHECKPOINT_WERROR}>:-Werror>)
  # The same for all, so that one precompiled header serves all: CMake's own property would give
  # programs -fPIE, which g++ does not accept with a header made with -fPIC. The other one is for ccache.
  target_compile_options(${target} PRIVATE -fPIC $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
endfunction()

# For targets that include torch/torch.h, which alone takes 15 s a file. The header is that of another
# target, which must be optimized alike: g++ 16 accepts no other one.
function(torch_checkpoint_precompiled target)
  set(from ${ARGN} torch_checkpoint_pch)
  list(GET from 0 from)
  target_precompile_headers(${target} REUSE_FROM ${from})
endfunction()

# A target that makes the header: with LibTorch's definitions and no others.
function(torch_checkpoint_precompiled_header name)
  add_library(${name} OBJECT ${PROJECT_SOURCE_DIR}/src/pch.cpp)
  torch_checkpoint_target(${name})
  target_compile_options(${name} PRIVATE ${ARGN})
  target_link_libraries(${name} PRIVATE torch)
  target_precompile_headers(${name} PRIVATE <torch/torch.h>)
endfunction()

# Compiles some files of a target together: those named, and those in the folders named. Each file that
# includes LibTorch costs 10 s before its first own line, with the precompiled header too, because g++
# instantiates again what the header left open. Sources of one group must not use one name for two
# things in their anonymous namespaces.
function(torch_checkpoint_unity target group)
  set_target_properties(${target} PROPERTIES
    UNITY_BUILD ${TORCH_CHECKPOINT_UNITY} UNITY_BUILD_MODE GROUP)
  get_target_property(sources ${target} SOURCES)
  foreach(source IN LISTS sources)
    get_filename_component(folder ${source} DIRECTORY)
    if(source IN_LIST ARGN OR folder IN_LIST ARGN)
      set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${group})
    endif()
  endforeach()
endfunction()

# g++'s sanitizers make it see uninitialized values where there are none (its manual warns of such): in
# the regex that Catch2 uses, in LibTorch's DataLoader. For targets that instantiate those.
function(torch_checkpoint_false_alarms target)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
  endif()
endfunction()
