-- What looking after a store asks of the log itself. Nothing here writes to it.

-- name: admin.application
SELECT application_id FROM pragma_application_id;

-- name: admin.schema
SELECT user_version FROM pragma_user_version;

-- name: admin.integrity
PRAGMA integrity_check(100);

-- name: admin.things
SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name;

-- name: admin.log
SELECT * FROM events ORDER BY position;

-- name: admin.blobs
SELECT number, id, salt, fingerprint, data FROM blobs ORDER BY number;

-- name: admin.has_blob
SELECT 1 FROM blobs WHERE substr(id, 1, 4) = substr(?1, 1, 4) AND id = ?1;

-- name: admin.count_events
SELECT count(*), count(*) FILTER (WHERE version = 1) FROM events;

-- name: admin.count_blobs
SELECT count(*) FROM blobs;

-- name: admin.newest
SELECT recorded_at FROM events ORDER BY position DESC LIMIT 1;

-- name: admin.count_running
SELECT count(*) FROM generations WHERE status = 'running';

-- The scratch database of a replay reads blobs from the store beside it.
-- name: admin.attach
ATTACH DATABASE ? AS store;

-- name: admin.scratch_journal
PRAGMA journal_mode = MEMORY;

-- name: admin.blob
SELECT number, id, salt, data FROM blobs WHERE substr(id, 1, 4) = substr(?1, 1, 4) AND id = ?1;

-- name: admin.stream_log
SELECT * FROM events WHERE stream_id = ?1 ORDER BY version;

-- name: admin.count_stream_events
SELECT count(*) FROM events WHERE stream_id = ?1;

-- name: admin.firsts
SELECT stream_id, data FROM events WHERE version = 1;
