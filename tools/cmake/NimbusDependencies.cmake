# Everything Nimbus's libraries need, from Debian 12's packages. The installed
# package runs this file too, so that the targets its own targets name exist in
# the project that uses it: a missing one makes find_package(nimbus) say so.
include(CMakeFindDependencyMacro)

find_dependency(Threads)
find_dependency(absl)
find_dependency(fmt)
find_dependency(FlatBuffers)
find_dependency(simdjson)
find_dependency(SQLite3)

# These come with pkg-config files; OpenSSL's libcrypto is asked for in the same way.
find_dependency(PkgConfig)
foreach(nimbus_module libcrypto lmdb libsodium libzstd libxxhash)
  string(REGEX REPLACE "^lib" "" nimbus_target ${nimbus_module})
  if(NOT TARGET PkgConfig::${nimbus_target})
    pkg_check_modules(${nimbus_target} QUIET IMPORTED_TARGET GLOBAL ${nimbus_module})
  endif()
  if(NOT TARGET PkgConfig::${nimbus_target})
    if(${CMAKE_FIND_PACKAGE_NAME}_FIND_REQUIRED)
      message(FATAL_ERROR "pkg-config does not find ${nimbus_module}: is its package installed?")
    endif()
    set(${CMAKE_FIND_PACKAGE_NAME}_FOUND FALSE)
    set(${CMAKE_FIND_PACKAGE_NAME}_NOT_FOUND_MESSAGE "pkg-config does not find ${nimbus_module}")
    return()
  endif()
endforeach()
