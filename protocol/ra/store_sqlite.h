/*
 * store_sqlite.h: the statements of the SQLite back end, for a test that asks SQLite how it would
 * run them. Private to protocol/ra.
 */
#ifndef DOT2HSM_PROTOCOL_RA_STORE_SQLITE_H
#define DOT2HSM_PROTOCOL_RA_STORE_SQLITE_H

#include "protocol/ra/store_ops.h"

enum ra_sql {
    RA_SQL_BLACKLIST_ADD,
    RA_SQL_BLACKLIST_REMOVE,
    RA_SQL_BLACKLIST_EACH,
    RA_SQL_BLACKLIST_CHECK,
    RA_SQL_FILE_ASSIGN,
    RA_SQL_FILE_UNASSIGN,
    RA_SQL_FILE_EACH,
    RA_SQL_FILE_REQUESTER,
    RA_SQL_COUNT
};
extern const char *const ra_sqlite_sql[RA_SQL_COUNT];

#endif
