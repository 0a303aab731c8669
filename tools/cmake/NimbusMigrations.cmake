# nimbus_embed_migrations(OUT files…): writes OUT, a C++ source that defines
# Migrations() from the SQL files, each of which holds, in this order, the lines
#   -- version N: name
#   -- up
#   -- down
# and the SQL of each direction after its line.
function(nimbus_embed_migrations out)
  set(rows "")
  foreach(file ${ARGN})
    file(READ ${file} text)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    if(NOT text MATCHES "^-- version ([0-9]+): ([a-z_]+)\n-- up\n")
      message(FATAL_ERROR "${file} does not begin with its version, name and '-- up'")
    endif()
    set(version ${CMAKE_MATCH_1})
    set(name ${CMAKE_MATCH_2})
    string(LENGTH "${CMAKE_MATCH_0}" up_begin)
    string(FIND "${text}" "\n-- down\n" down_begin)
    if(down_begin EQUAL -1)
      message(FATAL_ERROR "${file} has no line '-- down'")
    endif()
    math(EXPR up_length "${down_begin} + 1 - ${up_begin}")
    string(SUBSTRING "${text}" ${up_begin} ${up_length} up)
    math(EXPR down_begin "${down_begin} + 9")
    string(SUBSTRING "${text}" ${down_begin} -1 down)
    string(APPEND rows "    {${version}, \"${name}\", R\"sql(${up})sql\",\n"
           "     R\"sql(${down})sql\"},\n")
  endforeach()
  file(CONFIGURE OUTPUT ${out} @ONLY CONTENT
"// Generated from schema/sql by tools/cmake/NimbusMigrations.cmake.
#include \"migrator.h\"

namespace nimbus::projections {
namespace {

constexpr Migration kMigrations[] = {
@rows@};

}  // namespace

std::span<const Migration> Migrations() { return kMigrations; }

}  // namespace nimbus::projections
")
endfunction()
