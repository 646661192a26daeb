# Error texts name the source file; no object, generated ones included, names the place it was built in.
add_compile_options(-fmacro-prefix-map=${PROJECT_BINARY_DIR}/= -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)

# What every target of ours is compiled with. Generated code (asn1/) takes the sanitizers only.
add_library(dot2hsm_sanitize INTERFACE)
if(DOT2HSM_SANITIZE)
  target_compile_options(dot2hsm_sanitize INTERFACE
    -fsanitize=${DOT2HSM_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(dot2hsm_sanitize INTERFACE -fsanitize=${DOT2HSM_SANITIZE})
  if(DOT2HSM_SANITIZE MATCHES undefined)
    target_compile_options(dot2hsm_sanitize INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()
if(DOT2HSM_FUZZ)
  target_compile_options(dot2hsm_sanitize INTERFACE -fsanitize=fuzzer-no-link)
endif()

add_library(dot2hsm_warnings INTERFACE)
target_compile_definitions(dot2hsm_warnings INTERFACE _GNU_SOURCE)
target_compile_options(dot2hsm_warnings INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
  -fstack-protector-strong $<$<CONFIG:RelWithDebInfo>:-D_FORTIFY_SOURCE=2>)
target_include_directories(dot2hsm_warnings INTERFACE ${PROJECT_SOURCE_DIR})

# dot2hsm_library(NAME SOURCES ... LINK ...): a static library of one floor.
function(dot2hsm_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_LINK} dot2hsm_sanitize PRIVATE dot2hsm_warnings)
endfunction()

# dot2hsm_program(NAME SOURCES ... LINK ...): a program in bin/.
function(dot2hsm_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} dot2hsm_sanitize dot2hsm_warnings)
  target_link_options(${name} PRIVATE -Wl,-z,relro,-z,now)
endfunction()
