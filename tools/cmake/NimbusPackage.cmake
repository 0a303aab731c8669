# The installed package: what find_package(nimbus) reads.
include(CMakePackageConfigHelpers)

set(nimbus_package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/nimbus)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/nimbusConfig.cmake.in
  ${PROJECT_BINARY_DIR}/nimbusConfig.cmake INSTALL_DESTINATION ${nimbus_package_directory})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/nimbusConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/nimbusConfig.cmake
  ${PROJECT_BINARY_DIR}/nimbusConfigVersion.cmake
  ${CMAKE_CURRENT_LIST_DIR}/NimbusDependencies.cmake
  DESTINATION ${nimbus_package_directory})
install(EXPORT nimbusTargets NAMESPACE nimbus:: DESTINATION ${nimbus_package_directory})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
