# cmake -DASN1C=… -DDIR=… -DMODULES=a,b,… -P compile.cmake: compile the modules into DIR, from scratch.
string(REPLACE "," ";" MODULES "${MODULES}")
file(REMOVE_RECURSE ${DIR})
file(MAKE_DIRECTORY ${DIR})
# -pdu=all makes asn_pdu_collection, the list of all types.
execute_process(
  COMMAND ${ASN1C} -gen-PER -fcompound-names -fincludes-quoted -pdu=all ${MODULES}
  WORKING_DIRECTORY ${DIR}
  RESULT_VARIABLE result
  OUTPUT_VARIABLE output
  ERROR_VARIABLE output)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "asn1c failed:\n${output}")
endif()
