# Installs the build into an empty prefix, then configures, builds and runs the consumer against it.
# The consumer gets the same compiler and flags, since sanitized libraries want a sanitized program.

function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

set(prefix "${work}/prefix")
set(consumer "${work}/consumer-build")
file(REMOVE_RECURSE "${prefix}" "${consumer}")

run("${CMAKE_COMMAND}" --install "${build}" --prefix "${prefix}")
run("${CMAKE_COMMAND}"
    -S "${CMAKE_CURRENT_LIST_DIR}/consumer"
    -B "${consumer}"
    -G "${generator}"
    -D "CMAKE_PREFIX_PATH=${prefix}"
    -D "CMAKE_CXX_COMPILER=${compiler}"
    -D "CMAKE_CXX_FLAGS=${flags}"
    -D "CMAKE_BUILD_TYPE=${build_type}")
run("${CMAKE_COMMAND}" --build "${consumer}")
run("${consumer}/convert" "${checkpoint}" "${work}/digits.wmap")
run("${consumer}/read" "${work}/digits.wmap")
run("${prefix}/bin/weightmap" --version)
