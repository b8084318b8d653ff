-- What looking after a store asks of the log itself. Nothing here writes to it.

-- name: admin.application
SELECT application_id FROM pragma_application_id;

-- name: admin.schema
SELECT user_version FROM pragma_user_version;

-- name: admin.integrity
PRAGMA integrity_check(100);

-- name: admin.things
SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY type, name;

-- name: admin.tables
SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0;

-- name: admin.has_table
SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?;

-- name: admin.table_integrity
SELECT * FROM pragma_integrity_check(?);

-- name: admin.events_between
SELECT * FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?;

-- Where a stream stood before an event of it.
-- name: admin.stream_before
SELECT version, recorded_at, digest FROM events
WHERE stream_id = ?1 AND version < ?2 AND +position <= ?3 ORDER BY version DESC LIMIT 1;

-- name: admin.blobs_after
SELECT number, id, salt, fingerprint, data FROM blobs WHERE number > ? AND number <= ? ORDER BY number LIMIT ?;

-- name: admin.last_blob
SELECT coalesce(max(number), 0) FROM blobs;

-- Which of some ids, one behind the other in ?1, have no row.
-- name: admin.missing_blobs
WITH RECURSIVE wanted (place, id) AS (
    SELECT 1, substr(?1, 1, 32)
    UNION ALL
    SELECT w.place + 32, substr(?1, w.place + 32, 32) FROM wanted w WHERE w.place + 32 < length(?1)
)
SELECT w.id FROM wanted w
WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE substr(b.id, 1, 4) = substr(w.id, 1, 4) AND b.id = w.id);

-- In the scratch database of a replay, with the store beside it.
-- name: admin.family_of_commit
SELECT e.stream_id FROM commits c JOIN events e ON e.position = c.number
WHERE substr(c.id, 1, 4) = substr(?1, 1, 4) AND c.id = ?1;

-- name: admin.is_tract_of
SELECT 1 FROM tracts WHERE id = ?1 AND stream = ?2;

-- name: admin.count_events
SELECT count(*), count(*) FILTER (WHERE version = 1) FROM events;

-- name: admin.count_blobs
SELECT count(*) FROM blobs;

-- name: admin.newest
SELECT recorded_at, position FROM events ORDER BY position DESC LIMIT 1;

-- name: admin.count_running
SELECT count(*) FROM generations WHERE status = 'running';

-- The scratch database of a replay reads blobs from the store beside it.
-- name: admin.attach
ATTACH DATABASE ? AS store;

-- name: admin.scratch_journal
PRAGMA journal_mode = MEMORY;

-- name: admin.blob
SELECT number, id, salt, data FROM blobs WHERE substr(id, 1, 4) = substr(?1, 1, 4) AND id = ?1;

-- name: admin.log
SELECT * FROM events ORDER BY position;

-- name: admin.stream_events_after
SELECT * FROM events WHERE stream_id = ?1 AND version > ?2 ORDER BY version LIMIT ?3;

-- name: admin.count_stream_events
SELECT count(*) FROM events WHERE stream_id = ?1;

-- name: admin.firsts
SELECT stream_id, data FROM events WHERE version = 1;

-- Of a full-text index: `an_index` stands for its name.
-- name: admin.show_index
CREATE VIRTUAL TABLE temp.shown_index USING fts5vocab(main, an_index, instance);

-- name: admin.hide_index
DROP TABLE IF EXISTS temp.shown_index;

-- name: admin.index_words
SELECT term, doc, col, offset FROM temp.shown_index;

-- name: admin.index_sizes
SELECT id, sz FROM an_index_docsize ORDER BY id;

-- name: admin.index_totals
SELECT id, block FROM an_index_data WHERE id = 1;

-- name: admin.index_settings
SELECT k, v FROM an_index_config ORDER BY k;

-- name: admin.is_index
SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ? AND sql LIKE 'CREATE VIRTUAL TABLE % USING fts5%';
