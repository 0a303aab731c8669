# Run by CTest: installs, moves the prefix, configures, builds and runs the consumer.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}: ${result}\n${out}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${SCRATCH})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${SCRATCH}/first)
# A package may be put anywhere after it was made.
file(RENAME ${SCRATCH}/first ${SCRATCH}/prefix)

file(GLOB_RECURSE installed ${SCRATCH}/prefix/*)
foreach(file ${installed})
  if(file MATCHES "\\.(cmake|h|1|fish)$")
    file(READ ${file} text)
    string(FIND "${text}" "${SOURCE}" found)
    if(NOT found EQUAL -1)
      message(FATAL_ERROR "${file} names the tree it was built in")
    endif()
  endif()
endforeach()

foreach(client python/nimbus_agent.py typescript/nimbus_agent.ts)
  if(NOT EXISTS ${SCRATCH}/prefix/share/nimbus/clients/${client})
    message(FATAL_ERROR "the client ${client} is not installed")
  endif()
endforeach()

set(flags)
if(SANITIZE)
  set(flags -DCMAKE_CXX_FLAGS=-fsanitize=${SANITIZE})
endif()
run(${CMAKE_COMMAND} -G ${GENERATOR} -S ${CMAKE_CURRENT_LIST_DIR}/consumer -B ${SCRATCH}/build
  -DCMAKE_PREFIX_PATH=${SCRATCH}/prefix -DCMAKE_CXX_COMPILER=${COMPILER}
  -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER} ${flags})
run(${CMAKE_COMMAND} --build ${SCRATCH}/build)
run(${SCRATCH}/build/consumer ${SCRATCH}/store)
message("${out}")
