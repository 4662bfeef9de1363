# The target "docs": the API reference as HTML, by Doxygen, in build/PRESET/docs/html. Nothing else
# needs it.
find_package(Doxygen QUIET)
if(Doxygen_FOUND)
  set(TORCH_CHECKPOINT_DOCS_DIR ${PROJECT_BINARY_DIR}/docs)
  configure_file(docs/Doxyfile.in ${PROJECT_BINARY_DIR}/Doxyfile @ONLY)
  add_custom_target(docs
    COMMAND ${CMAKE_COMMAND} -E make_directory ${TORCH_CHECKPOINT_DOCS_DIR}
    COMMAND Doxygen::doxygen ${PROJECT_BINARY_DIR}/Doxyfile
    COMMENT "Writing the API reference to ${TORCH_CHECKPOINT_DOCS_DIR}/html"
    VERBATIM)
endif()
