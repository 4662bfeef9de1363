# xxHash ships no CMake package. Gives xxHash::xxhash.
find_path(xxHash_INCLUDE_DIR xxhash.h)
find_library(xxHash_LIBRARY xxhash)
if(xxHash_INCLUDE_DIR)
  file(STRINGS "${xxHash_INCLUDE_DIR}/xxhash.h" xxHash_numbers
       REGEX "#define XXH_VERSION_(MAJOR|MINOR|RELEASE) +[0-9]+")
  string(REGEX REPLACE "[^0-9;]" "" xxHash_numbers "${xxHash_numbers}")
  list(JOIN xxHash_numbers "." xxHash_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(xxHash REQUIRED_VARS xxHash_LIBRARY xxHash_INCLUDE_DIR
                                  VERSION_VAR xxHash_VERSION)
if(xxHash_FOUND AND NOT TARGET xxHash::xxhash)
  add_library(xxHash::xxhash UNKNOWN IMPORTED)
  set_target_properties(xxHash::xxhash PROPERTIES
    IMPORTED_LOCATION "${xxHash_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${xxHash_INCLUDE_DIR}")
endif()
# Debian's library holds AVX2 and AVX-512 beside SSE2, and chooses when it runs: three times as fast
# from memory, eight times from the cache. Only where it is asked to.
if(xxHash_FOUND AND NOT DEFINED xxHash_HAS_DISPATCH)
  try_compile(xxHash_HAS_DISPATCH ${CMAKE_BINARY_DIR}/xxhash_dispatch
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/xxhash_dispatch.cpp
    LINK_LIBRARIES xxHash::xxhash)
endif()
if(xxHash_HAS_DISPATCH)
  set_property(TARGET xxHash::xxhash APPEND PROPERTY
    INTERFACE_COMPILE_DEFINITIONS TORCH_CHECKPOINT_XXHASH_DISPATCH)
endif()
mark_as_advanced(xxHash_INCLUDE_DIR xxHash_LIBRARY)
