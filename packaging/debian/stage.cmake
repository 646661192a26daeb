# Run by cpack before the packages are made: what Debian's policy wants beside what is installed.
set(packages lib libdot2hsm0 tools dot2hsm dev libdot2hsm-dev)
while(packages)
  list(POP_FRONT packages component package)
  set(share ${CPACK_TEMPORARY_DIRECTORY}/${component}/usr/share)
  set(doc ${share}/doc/${package})
  configure_file(${CMAKE_CURRENT_LIST_DIR}/copyright ${doc}/copyright COPYONLY)
  configure_file(${CMAKE_CURRENT_LIST_DIR}/changelog ${doc}/changelog COPYONLY)
  file(GLOB pages ${share}/man/man*/*)
  # -n: no time of the build in it.
  execute_process(COMMAND gzip -9n ${doc}/changelog ${pages} COMMAND_ERROR_IS_FATAL ANY)
  # Whatever the umask of whoever makes the packages.
  file(CHMOD ${doc}/copyright ${doc}/changelog.gz
       PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  execute_process(COMMAND find ${CPACK_TEMPORARY_DIRECTORY}/${component} -type d -exec chmod 755 {} +
                  COMMAND_ERROR_IS_FATAL ANY)
endwhile()
