-- The log and its blobs. What is here is for ever: see design of the event row
-- in tract/log/chain.py and tract/log/codec.py.

-- name: log.create_events
CREATE TABLE events (
    position     INTEGER PRIMARY KEY,
    stream_id    BLOB    NOT NULL,
    version      INTEGER NOT NULL,
    tract_id     BLOB    NOT NULL,
    type         TEXT    NOT NULL,
    schema       INTEGER NOT NULL,
    data         TEXT    NOT NULL,
    operation_id BLOB    NOT NULL,
    actor        TEXT,
    recorded_at  INTEGER NOT NULL,
    digest       BLOB    NOT NULL,
    UNIQUE (stream_id, version)
) STRICT;

-- name: log.create_events_by_operation
CREATE INDEX events_by_operation ON events (operation_id);

-- name: log.create_events_refuse_update
CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'tract: an event cannot be changed');
END;

-- name: log.create_events_refuse_delete
CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'tract: an event cannot be removed');
END;

-- name: log.create_events_guard
CREATE TRIGGER events_guard BEFORE INSERT ON events
WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events)
  OR NEW.version IS NOT (SELECT coalesce(max(version), 0) + 1 FROM events WHERE stream_id = NEW.stream_id)
  OR length(NEW.stream_id) IS NOT 16
  OR length(NEW.digest) IS NOT 32
BEGIN
    SELECT RAISE(ABORT, 'tract: an event must follow the last one, without gap or fork');
END;

-- A row is never deleted: what is collected or erased loses salt, fingerprint and
-- data, so that its number is never used again.
-- name: log.create_blobs
CREATE TABLE blobs (
    number      INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE,
    salt        BLOB,
    fingerprint BLOB,
    data        BLOB
) STRICT;

-- Eight bytes tell fingerprints apart; the whole would cost 24 more a blob.
-- name: log.create_blobs_by_fingerprint
CREATE INDEX blobs_by_fingerprint ON blobs (substr(fingerprint, 1, 8));

-- name: log.last_position
SELECT coalesce(max(position), 0) FROM events;

-- name: log.stream_head
SELECT version, digest, recorded_at FROM events WHERE stream_id = ? ORDER BY version DESC LIMIT 1;

-- name: log.insert_event
INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: log.events_after
SELECT * FROM events WHERE position > ? ORDER BY position LIMIT ?;

-- By position and not by version, so that a cursor over the store is a place to start from.
-- name: log.stream_events_after
SELECT * FROM events WHERE position > ?2 AND +stream_id = ?1 ORDER BY position LIMIT ?3;

-- name: log.operation_events
SELECT * FROM events WHERE operation_id = ? ORDER BY position;

-- name: log.insert_blob
INSERT INTO blobs (id, salt, fingerprint, data) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET salt = excluded.salt, fingerprint = excluded.fingerprint, data = excluded.data
WHERE data IS NULL;

-- name: log.blob
SELECT data FROM blobs WHERE id = ?;

-- name: log.salt
SELECT salt FROM blobs WHERE substr(fingerprint, 1, 8) = substr(?1, 1, 8) AND fingerprint = ?1 LIMIT 1;
