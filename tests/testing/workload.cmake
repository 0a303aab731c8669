# nimbus_workload: the canonical workload, for tests and benchmarks. Needs no
# test framework, so that benchmarks build without one.
include_guard(GLOBAL)
add_library(nimbus_workload STATIC
  ${CMAKE_CURRENT_LIST_DIR}/workload.cc ${CMAKE_CURRENT_LIST_DIR}/workload_text.cc)
target_include_directories(nimbus_workload PUBLIC ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(nimbus_workload PUBLIC nimbus::schema PRIVATE fmt::fmt nimbus_flags)
