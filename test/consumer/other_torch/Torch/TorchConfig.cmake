# Stands for a LibTorch that the library was not built with.
set(TORCH_FOUND TRUE)
set(TORCH_INCLUDE_DIRS)
set(TORCH_LIBRARIES torch)
if(NOT TARGET torch)
  add_library(torch INTERFACE IMPORTED)
endif()
