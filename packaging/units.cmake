# Run at installation: units with the directory of the programs in them. Prefixes may be installed to
# at the same time, so that each has a directory of its own to prepare in.
string(MD5 key "${CMAKE_INSTALL_PREFIX}")
file(READ "${packaging}/sandbox.in" sandbox)
foreach(unit dot2hsm-ra.service dot2hsm-ee-sync.service)
  configure_file("${packaging}/${unit}.in" "${units}/${key}/${unit}" @ONLY NEWLINE_STYLE UNIX)
  file(INSTALL "${units}/${key}/${unit}"
       DESTINATION "${CMAKE_INSTALL_PREFIX}/lib/systemd/system" TYPE FILE
       PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
endforeach()
