# Debian packages: `cpack --config build/release/CPackConfig.cmake -B DIR`. Included last, when
# everything that is installed is known.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME dot2hsm)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "dot2hsm maintainers <maintainers@dot2hsm.example>" CACHE STRING
    "Maintainer of the packages, a name and an address")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/packaging/debian/stage.cmake)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_COMPONENTS_ALL lib tools dev)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(same_version "(= ${PROJECT_VERSION})")

set(CPACK_DEBIAN_LIB_PACKAGE_NAME libdot2hsm0)
set(CPACK_DEBIAN_LIB_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIB_DESCRIPTION "The library, and the provider for OpenSSL:
ECDSA and ECIES of IEEE 1609.2 with keys that stay in a PKCS#11 token, for any
program that uses OpenSSL 3, and a C library that signs, verifies, encrypts and
decrypts messages over it.")

# What Debian wants and cpack does not write: the trigger of ldconfig; and every shared library of
# the package has a line: name, number of its interface, package.
set(shlibs)
foreach(library libdot2hsm libdot2hsm-ra)
  string(APPEND shlibs "${library} 0 libdot2hsm0 (>= ${PROJECT_VERSION})\n")
endforeach()
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/packaging/debian/shlibs CONTENT "${shlibs}" @ONLY)
set(CPACK_DEBIAN_LIB_PACKAGE_CONTROL_EXTRA
    ${PROJECT_SOURCE_DIR}/packaging/debian/triggers
    ${PROJECT_BINARY_DIR}/packaging/debian/shlibs)

set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME dot2hsm)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION net)
# The programs load the provider by its name.
set(CPACK_DEBIAN_TOOLS_PACKAGE_DEPENDS
    "libdot2hsm0 ${same_version}, systemd | systemd-standalone-sysusers, systemd | systemd-standalone-tmpfiles")
set(CPACK_DEBIAN_TOOLS_PACKAGE_SUGGESTS "softhsm2, opensc, pcscd, postgresql")
set(CPACK_DEBIAN_TOOLS_DESCRIPTION "The programs:
dot2hsm is the command line of a road-side unit: keys in PKCS#11 tokens,
signatures of IEEE 1609.2, enrollment, certificates and policy from the
registration authority (SCMS of the CV Pilots, release 1.2.2). dot2hsm-ra is
the registration authority's HTTPS server.")
set(CPACK_DEBIAN_TOOLS_PACKAGE_CONTROL_EXTRA
    ${PROJECT_SOURCE_DIR}/packaging/debian/postinst ${PROJECT_SOURCE_DIR}/packaging/debian/prerm
    ${PROJECT_SOURCE_DIR}/packaging/debian/postrm)

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libdot2hsm-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libdot2hsm0 ${same_version}")
set(CPACK_DEBIAN_DEV_DESCRIPTION "Development files:
Headers, pkg-config and CMake files of the C library of dot2hsm.")
include(CPack)
