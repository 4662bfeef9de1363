# Everything that the library is built with. docs/dependencies.md says why each is there.
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_package(Torch REQUIRED)
find_package(nlohmann_json 3.10 REQUIRED)
find_package(spdlog REQUIRED)
find_package(xxHash 0.8 REQUIRED)
find_package(libdeflate 1.10 REQUIRED)
find_package(Threads REQUIRED)

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
