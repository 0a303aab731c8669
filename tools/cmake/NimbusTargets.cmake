# How every target of the project is built.
include(GNUInstallDirs)
include(GoogleTest OPTIONAL)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_library(nimbus_flags INTERFACE)
target_compile_options(nimbus_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(nimbus_flags INTERFACE -Wthread-safety)
endif()
if(NIMBUS_SANITIZE)
  target_compile_options(nimbus_flags INTERFACE -fsanitize=${NIMBUS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(nimbus_flags INTERFACE -fsanitize=${NIMBUS_SANITIZE})
endif()

# nimbus_module(journal SOURCES a.cc … PUBLIC lib … PRIVATE lib …)
# A library nimbus_journal that exports journal/include and nothing else.
function(nimbus_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(nimbus_${name} STATIC ${arg_SOURCES})
  add_library(nimbus::${name} ALIAS nimbus_${name})
  set_target_properties(nimbus_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(nimbus_${name} PUBLIC cxx_std_20)
  target_include_directories(nimbus_${name}
    PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(nimbus_${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE} $<BUILD_INTERFACE:nimbus_flags>)
endfunction()

# nimbus_test(journal SOURCES a_test.cc … LINK lib …): one program per module.
function(nimbus_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name}_test ${arg_SOURCES})
  target_link_libraries(${name}_test PRIVATE ${arg_LINK} nimbus_flags GTest::gmock_main)
  target_include_directories(${name}_test PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  gtest_discover_tests(${name}_test DISCOVERY_MODE PRE_TEST TEST_PREFIX ${name}: PROPERTIES TIMEOUT 300)
endfunction()
