include(CMakePackageConfigHelpers)

install(TARGETS TorchCheckpoint EXPORT TorchCheckpointTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/checkpoint DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET torch-checkpoint)
  install(TARGETS torch-checkpoint RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  # Where torch-checkpoint looks for it (checkpoint/command.h).
  install(TARGETS torch-checkpoint-tensors RUNTIME DESTINATION libexec/torch-checkpoint)
  install(FILES docs/torch-checkpoint.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES checkpoint/completions/torch-checkpoint.bash RENAME torch-checkpoint
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES checkpoint/completions/_torch-checkpoint
    DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/TorchCheckpoint)
install(EXPORT TorchCheckpointTargets
  NAMESPACE TorchCheckpoint:: DESTINATION ${package_dir})
configure_package_config_file(cmake/TorchCheckpointConfig.cmake.in
  ${PROJECT_BINARY_DIR}/TorchCheckpointConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/TorchCheckpointConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/TorchCheckpointConfig.cmake
  ${PROJECT_BINARY_DIR}/TorchCheckpointConfigVersion.cmake
  DESTINATION ${package_dir})
