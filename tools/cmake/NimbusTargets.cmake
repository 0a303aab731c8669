# How every target of the project is built, tested and installed.
include(CheckLinkerFlag)
include(GNUInstallDirs)
include(GoogleTest)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# Paths are hashed relative to the tree, so that every checkout of it shares one
# cache; the sloppiness is what ccache needs to serve precompiled headers.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()

add_library(nimbus_flags INTERFACE)
target_compile_options(nimbus_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror
  # Options structs are filled by name; a member left out keeps its default.
  -Wno-missing-field-initializers
  # No path of the building machine in a binary, nor in what NIMBUS_CHECK prints.
  -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(nimbus_flags INTERFACE -Wthread-safety)
else()
  # g++ 12 at -O3 sees overflows and unset members in the standard library's own
  # inlined strings, vectors and optionals (GCC bugs 105329, 105651, 80635); clang
  # and the sanitizers look for real ones.
  target_compile_options(nimbus_flags INTERFACE
    -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread
    -Wno-maybe-uninitialized)
endif()
target_compile_definitions(nimbus_flags INTERFACE $<$<NOT:$<CONFIG:Release>>:_GLIBCXX_ASSERTIONS>)

check_linker_flag(CXX -fuse-ld=lld NIMBUS_HAVE_LLD)
if(NIMBUS_HAVE_LLD)
  target_link_options(nimbus_flags INTERFACE -fuse-ld=lld)
endif()
if(NIMBUS_SANITIZE)
  target_compile_options(nimbus_flags INTERFACE
    -fsanitize=${NIMBUS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(nimbus_flags INTERFACE -fsanitize=${NIMBUS_SANITIZE})
endif()
if(NIMBUS_SANITIZE STREQUAL thread)
  add_library(nimbus_tsan_absl OBJECT ${CMAKE_CURRENT_LIST_DIR}/tsan_absl.cc)
  target_compile_options(nimbus_tsan_absl PRIVATE -fsanitize=thread -Wno-thread-safety)
  target_link_libraries(nimbus_tsan_absl PRIVATE absl::status absl::synchronization)
  # As an option, because a program needs it once, however many libraries ask for it.
  target_link_options(nimbus_flags INTERFACE $<TARGET_OBJECTS:nimbus_tsan_absl>)
  add_dependencies(nimbus_flags nimbus_tsan_absl)
endif()

# nimbus_module(journal SOURCES a.cc … PUBLIC lib … PRIVATE lib …)
# A library nimbus_journal, nimbus::journal to others, that exports
# journal/include and nothing else, and is installed.
function(nimbus_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(nimbus_${name} STATIC ${arg_SOURCES})
  add_library(nimbus::${name} ALIAS nimbus_${name})
  set_target_properties(nimbus_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(nimbus_${name} PUBLIC cxx_std_20)
  target_include_directories(nimbus_${name}
    PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
           $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(nimbus_${name}
    PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE} $<BUILD_INTERFACE:nimbus_flags>)
  install(TARGETS nimbus_${name} EXPORT nimbusTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endfunction()

# nimbus_program(nimbus-replay SOURCES a.cc … LINK lib …)
# An installed command-line tool with its man page and completions, which it
# prints itself (tools/cli/completion.h).
function(nimbus_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LINK} nimbus_flags)
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  set(data ${CMAKE_INSTALL_DATADIR})
  nimbus_printed_file(${name} "man" ${CMAKE_INSTALL_MANDIR}/man1/${name}.1)
  nimbus_printed_file(${name} "completion bash" ${data}/bash-completion/completions/${name})
  nimbus_printed_file(${name} "completion zsh" ${data}/zsh/site-functions/_${name})
  nimbus_printed_file(${name} "completion fish" ${data}/fish/vendor_completions.d/${name}.fish)
endfunction()

# Installs what the program `name` prints when run with `arguments`.
function(nimbus_printed_file name arguments destination)
  string(MAKE_C_IDENTIFIER "${name} ${arguments}" id)
  set(file ${PROJECT_BINARY_DIR}/printed/${destination})
  cmake_path(GET file PARENT_PATH directory)
  separate_arguments(words UNIX_COMMAND "${arguments}")
  add_custom_command(OUTPUT ${file}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${directory}
    COMMAND ${name} ${words} > ${file}
    DEPENDS ${name} VERBATIM
    COMMENT "${name} ${arguments}")
  add_custom_target(nimbus_printed_${id} ALL DEPENDS ${file})
  cmake_path(GET destination PARENT_PATH destination_directory)
  install(FILES ${file} DESTINATION ${destination_directory})
endfunction()

# nimbus_test(journal SOURCES a_test.cc … LINK lib …): one program per module. No test
# takes minutes, unless it is asked to.
function(nimbus_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name}_test ${arg_SOURCES})
  target_link_libraries(${name}_test
    PRIVATE ${arg_LINK} nimbus_testing nimbus_flags GTest::gmock_main)
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  set(timeout_s 300)
  if(NIMBUS_LONG_TESTS)
    set(timeout_s 3600)
  endif()
  gtest_discover_tests(${name}_test DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    NO_PRETTY_VALUES TEST_PREFIX ${name}: PROPERTIES TIMEOUT ${timeout_s})
endfunction()
