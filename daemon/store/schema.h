/*
 * The database's schema, as the steps that lead to it: a new database takes all of them, an older one those
 * that it lacks. A step that was ever released is never changed; the version of a database is the number of
 * its steps.
 *
 * Times are microseconds; "wall" ones since 1970.
 */
#ifndef TINKEX_STORE_SCHEMA_H
#define TINKEX_STORE_SCHEMA_H

/* "TKXD": says that an SQLite file is one of ours. */
#define SCHEMA_APPLICATION_ID 0x544b5844

static const char *const schema_steps[] = {
	/* 1 */
	"CREATE TABLE results("
	"  id INTEGER PRIMARY KEY," /* and the name of the file */
	"  ended_wall INTEGER NOT NULL,"
	"  content INTEGER," /* enum content_kind; NULL: it failed */
	"  error_type TEXT, error_category TEXT, error_status INTEGER, error_message TEXT, error_data TEXT,"
	"  in_file INTEGER NOT NULL, body_offset INTEGER NOT NULL, body_size INTEGER NOT NULL,"
	"  body BLOB);" /* NULL: in a file, or there is none */
	"CREATE TABLE registrations("
	"  id INTEGER PRIMARY KEY," /* rises with age */
	"  uid INTEGER NOT NULL, endpoint TEXT NOT NULL, request_id TEXT NOT NULL,"
	"  accept_protobuf INTEGER NOT NULL, request_type TEXT, create_roundtrip_ms INTEGER,"
	"  metadata TEXT, registered_wall INTEGER NOT NULL,"
	"  poll_timeout INTEGER, deadline_wall INTEGER, deadline_is_max_age INTEGER NOT NULL,"
	"  http_timeout INTEGER, backoff_initial INTEGER, backoff_max INTEGER,"
	"  on_network_error INTEGER NOT NULL, on_server_failure INTEGER NOT NULL, linked INTEGER NOT NULL,"
	"  result INTEGER," /* of results; NULL: it has not ended */
	"  delivered_wall INTEGER);",
	/* 2: a deadline is exact while the machine runs, whatever happens to its clock */
	"ALTER TABLE registrations ADD COLUMN deadline_boot TEXT;"
	"ALTER TABLE registrations ADD COLUMN deadline_boottime INTEGER;",
};

#endif
