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

# These four come with pkg-config files only.
find_dependency(PkgConfig)
foreach(nimbus_package lmdb=lmdb sodium=libsodium zstd=libzstd xxhash=libxxhash)
  string(REPLACE "=" ";" nimbus_package ${nimbus_package})
  list(GET nimbus_package 0 nimbus_prefix)
  list(GET nimbus_package 1 nimbus_module)
  if(NOT TARGET PkgConfig::${nimbus_prefix})
    pkg_check_modules(${nimbus_prefix} QUIET IMPORTED_TARGET GLOBAL ${nimbus_module})
  endif()
  if(NOT TARGET PkgConfig::${nimbus_prefix})
    if(${CMAKE_FIND_PACKAGE_NAME}_FIND_REQUIRED)
      message(FATAL_ERROR "pkg-config knows no ${nimbus_module}: tools/install-dependencies installs it")
    endif()
    set(${CMAKE_FIND_PACKAGE_NAME}_FOUND FALSE)
    set(${CMAKE_FIND_PACKAGE_NAME}_NOT_FOUND_MESSAGE "pkg-config knows no ${nimbus_module}")
    return()
  endif()
endforeach()
