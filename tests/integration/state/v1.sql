-- A state database of version 1, with a registration and a result of every kind. The statements that make the tables are
-- step 1 of daemon/store/schema.h, as it was released. Written at 2026-11-24 12:00:00 UTC, 1795521600000000 microseconds.
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE results(  id INTEGER PRIMARY KEY,  ended_wall INTEGER NOT NULL,  content INTEGER,  error_type TEXT, error_category TEXT, error_status INTEGER, error_message TEXT, error_data TEXT,  in_file INTEGER NOT NULL, body_offset INTEGER NOT NULL, body_size INTEGER NOT NULL,  body BLOB);
CREATE TABLE registrations(  id INTEGER PRIMARY KEY,  uid INTEGER NOT NULL, endpoint TEXT NOT NULL, request_id TEXT NOT NULL,  accept_protobuf INTEGER NOT NULL, request_type TEXT, create_roundtrip_ms INTEGER,  metadata TEXT, registered_wall INTEGER NOT NULL,  poll_timeout INTEGER, deadline_wall INTEGER, deadline_is_max_age INTEGER NOT NULL,  http_timeout INTEGER, backoff_initial INTEGER, backoff_max INTEGER,  on_network_error INTEGER NOT NULL, on_server_failure INTEGER NOT NULL, linked INTEGER NOT NULL,  result INTEGER,  delivered_wall INTEGER);
PRAGMA user_version = 1;
PRAGMA application_id = 1414223940;

INSERT INTO results(id, ended_wall, content, in_file, body_offset, body_size, body) VALUES
 (1, 1795521540000000, 0, 0, 0, 13, CAST('{"loss":0.25}' AS BLOB)),
 (2, 1795521540000000, 1, 0, 0, 4, x'00010a03'),
 (5, 1795521540000000, 0, 1, 22, 200002, NULL), -- spool/0000000000000005
 (6, 1795521540000000, 0, 1, 22, 200002, NULL), -- whose file is missing
 (7, 1795521540000000, 0, 0, 0, 1, CAST('7' AS BLOB)),
 (8, 1795521540000000, 0, 0, 0, 1, CAST('8' AS BLOB)); -- which no registration names
INSERT INTO results(id, ended_wall, error_type, error_category, error_status, error_message, error_data, in_file, body_offset, body_size, body) VALUES
 (3, 1795521540000000, 'request_failed', 'user', NULL, 'no luck', '"hint":"x"', 0, 0, 0, NULL),
 (4, 1795521540000000, 'api_status', 'server', 410, 'gone', '', 0, 0, 2011, CAST('"detail":"' || replace(hex(zeroblob(1000)), '00', 'ab') || '"' AS BLOB)),
 (9, 1795521540000000, 'cancelled', NULL, NULL, 'the registration was cancelled', '', 0, 0, 0, NULL);

INSERT INTO registrations VALUES
 (1, 1000, 'default', 'plain', 0, NULL, NULL, NULL, 1795521000000000, NULL, 1798113000000000, 1, NULL, NULL, NULL, 0, 0, 0, NULL, NULL),
 (2, 1000, 'default', 'asked-for', 1, 'Sample', 77, '{"run":"x"}', 1795521000000000, 7200000000, 1795528200000000, 0, 30000000, 10000, 50000, 2, 1, 0, NULL, NULL),
 (3, 1000, 'default', 'late', 0, NULL, NULL, NULL, 1795521000000000, 60000000, 1795521060000000, 0, NULL, NULL, NULL, 0, 0, 0, NULL, NULL),
 (4, 1000, 'default', 'small', 0, 'Sample', NULL, '{"n":4}', 1795521000000000, NULL, 1798113000000000, 1, NULL, NULL, NULL, 0, 0, 0, 1, NULL),
 (5, 1001, 'default', 'small', 0, NULL, NULL, NULL, 1795521000000000, NULL, 1798113000000000, 1, NULL, NULL, NULL, 0, 0, 0, 1, NULL),
 (6, 1000, 'default', 'protobuf', 1, NULL, NULL, NULL, 1795521000000000, NULL, 1798113000000000, 1, NULL, NULL, NULL, 0, 0, 0, 2, NULL),
 (7, 1000, 'default', 'failed', 0, NULL, NULL, NULL, 1795521000000000, NULL, 1798113000000000, 1, NULL, NULL, NULL, 0, 0, 0, 3, NULL),
 (8, 1000, 'default', 'failed-large', 0, NULL, NULL, NULL, 1795521000000000, NULL, 1798113000000000, 1, NULL, NULL, NULL, 0, 0, 0, 4, NULL),
 (9, 1000, 'default', 'large', 0, NULL, NULL, NULL, 1795521000000000, NULL, 1798113000000000, 1, NULL, NULL, NULL, 0, 0, 0, 5, NULL),
 (10, 1000, 'default', 'lost', 0, NULL, NULL, NULL, 1795521000000000, NULL, 1798113000000000, 1, NULL, NULL, NULL, 0, 0, 0, 6, 1795521550000000),
 (11, 1000, 'default', 'delivered', 0, NULL, NULL, NULL, 1795521000000000, NULL, 1798113000000000, 1, NULL, NULL, NULL, 0, 0, 0, 7, 1795521550000000),
 (12, 1000, 'default', 'cancelled', 0, NULL, NULL, NULL, 1795521000000000, NULL, 1798113000000000, 1, NULL, NULL, NULL, 0, 0, 0, 9, NULL),
 (13, 1000, 'default', 'linked', 0, NULL, NULL, NULL, 1795521000000000, NULL, 1798113000000000, 1, NULL, NULL, NULL, 0, 0, 1, NULL, NULL);
COMMIT;
