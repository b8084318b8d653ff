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

-- An id is looked up by a part of it, and then compared as a whole: an index of
-- whole ids costs far more. An operation's id may be the caller's, so it is both
-- ends: some count at the end, others have a machine there and a time before.
-- name: log.create_events_by_operation
CREATE INDEX events_by_operation ON events (substr(operation_id, 1, 8), substr(operation_id, 13, 4));

-- name: log.drop_events_by_operation
DROP INDEX events_by_operation;

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
-- data, so that its number is never used again. `data` is as tract/log/packing.py
-- packs it, which other programs that read the file must know; `fingerprint` is
-- the first 8 bytes of SHA-256 of the plain bytes, and tells equal ones only
-- together with id and salt. Whoever inserts sees to it that an id comes once.
-- name: log.create_blobs
CREATE TABLE blobs (
    number      INTEGER PRIMARY KEY,
    id          BLOB NOT NULL,
    salt        BLOB,
    fingerprint BLOB,
    data        BLOB
) STRICT;

-- Among a thousand million hashes, a search for four bytes finds one that is not
-- meant every fourth time.
-- name: log.create_blobs_by_id
CREATE INDEX blobs_by_id ON blobs (substr(id, 1, 4));

-- name: log.create_blobs_by_fingerprint
CREATE INDEX blobs_by_fingerprint ON blobs (substr(fingerprint, 1, 4));

-- What each projection's tables are: made by which version of its fold, which
-- edition of them is in use (see tract/log/editions.py), and up to which event
-- they have read; `position` is NULL where they are in step with every append.
-- name: log.create_projections
CREATE TABLE projections (
    name     TEXT    PRIMARY KEY,
    version  INTEGER NOT NULL,
    edition  INTEGER NOT NULL,
    position INTEGER,
    digest   BLOB
) STRICT, WITHOUT ROWID;

-- Where a projection met an event that it could not fold; `stream` is empty
-- where that stops all of it and not only a family.
-- name: log.create_halts
CREATE TABLE halts (
    projection TEXT    NOT NULL,
    stream     BLOB    NOT NULL,
    position   INTEGER NOT NULL,
    finding    TEXT    NOT NULL,
    PRIMARY KEY (projection, stream)
) STRICT, WITHOUT ROWID;

-- The edition that is being filled, and how far; `projections` are names, each
-- with a colon and the version of its fold, with commas between. Where it met an
-- event that could not be folded stands in `halts`, under `name__edition`.
-- name: log.create_rebuilds
CREATE TABLE IF NOT EXISTS rebuilds (
    edition     INTEGER PRIMARY KEY,
    projections TEXT    NOT NULL,
    position    INTEGER NOT NULL,
    digest      BLOB
) STRICT;

-- name: log.has_editions
SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'projections';

-- name: log.editions
SELECT name, edition FROM projections;

-- name: log.projections
SELECT name, version, edition, position, digest FROM projections ORDER BY name;

-- name: log.checkpoint
SELECT version, edition, position, digest FROM projections WHERE name = ?;

-- name: log.put_projection
INSERT INTO projections VALUES (?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    version = excluded.version, edition = excluded.edition, position = excluded.position, digest = excluded.digest;

-- name: log.advance
UPDATE projections SET position = ?5, digest = ?6 WHERE name = ?1 AND version = ?2 AND edition = ?3 AND position = ?4;

-- Whoever follows the log with one of these makes it anew.
-- name: log.set_back
UPDATE projections SET version = 0 WHERE position IS NOT NULL;

-- Whether a table is there in an edition, called as in tract/log/editions.py.
-- name: log.has_table
SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 || CASE ?2 WHEN 0 THEN '' ELSE '__' || ?2 END;

-- name: log.halts
SELECT projection, stream, position, finding FROM halts ORDER BY projection, stream;

-- name: log.halt
INSERT OR REPLACE INTO halts VALUES (?, ?, ?, ?);

-- The same, of a projection that still is where it was.
-- name: log.halt_at
INSERT OR REPLACE INTO halts SELECT ?1, ?2, ?3, ?4
WHERE EXISTS (SELECT 1 FROM projections p WHERE p.name = ?1 AND p.version = ?5 AND p.edition = ?6 AND p.position = ?7);

-- name: log.clear_halts
DELETE FROM halts WHERE projection = ?;

-- name: log.rename_halts
UPDATE halts SET projection = ?2 WHERE projection = ?1;

-- Why a family stands still in the tables that are in use.
-- name: log.halts_of
SELECT projection, stream, position, finding FROM halts WHERE stream = ? AND projection NOT GLOB '*__[1-9]*';

-- The same of families of which not even the root is known.
-- name: log.halts_of_nobody
SELECT h.projection, h.stream, h.position, h.finding FROM halts h
WHERE h.stream <> x'' AND h.projection NOT GLOB '*__[1-9]*' AND h.stream NOT IN (SELECT t.id FROM tracts t);

-- name: log.digest_at
SELECT digest FROM events WHERE position = ?;

-- name: log.rebuilds
SELECT edition, projections, position, digest FROM rebuilds ORDER BY edition;

-- name: log.rebuild_position
SELECT position FROM rebuilds WHERE edition = ?;

-- name: log.begin_rebuild
INSERT INTO rebuilds VALUES (?, ?, 0, NULL);

-- name: log.advance_rebuild
UPDATE rebuilds SET position = ?2, digest = ?3 WHERE edition = ?1;

-- name: log.end_rebuild
DELETE FROM rebuilds WHERE edition = ?;

-- name: log.drop_rebuilds
DROP TABLE rebuilds;

-- name: log.things
SELECT type, name, sql FROM sqlite_schema WHERE type IN ('table', 'index') AND sql IS NOT NULL;

-- Of a table or index of an edition that nobody uses: `left_over` stands for its
-- name, and `its_key` for the columns of its key.
-- name: log.empty
DELETE FROM left_over WHERE (its_key) IN (SELECT its_key FROM left_over ORDER BY its_key LIMIT ?);

-- The same of a part of a full-text index, whose first rows say what it is.
-- name: log.empty_index
DELETE FROM left_over WHERE id IN (SELECT p.id FROM left_over p WHERE p.id > 10 ORDER BY p.id LIMIT ?);

-- name: log.drop_index
DROP INDEX left_over;

-- name: log.drop_table
DROP TABLE left_over;

-- From schema 1, whose blobs were not packed.
-- name: log.put_blobs_aside
ALTER TABLE blobs RENAME TO blobs_aside;

-- name: log.take_blobs_back
INSERT INTO blobs SELECT number, id, salt, substr(fingerprint, 1, 8), pack(data) FROM blobs_aside;

-- name: log.drop_blobs_aside
DROP TABLE blobs_aside;

-- name: log.last_position
SELECT coalesce(max(position), 0) FROM events;

-- name: log.stream_head
SELECT version, digest, recorded_at FROM events WHERE stream_id = ? ORDER BY version DESC LIMIT 1;

-- name: log.digest_of_version
SELECT digest FROM events WHERE stream_id = ? AND version = ?;

-- name: log.insert_event
INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: log.events_after
SELECT * FROM events WHERE position > ? ORDER BY position LIMIT ?;

-- By position and not by version, so that a cursor over the store is a place to start from.
-- name: log.stream_events_after
SELECT * FROM events WHERE position > ?2 AND +stream_id = ?1 ORDER BY position LIMIT ?3;

-- name: log.operation_events
SELECT * FROM events
WHERE substr(operation_id, 1, 8) = substr(?1, 1, 8) AND substr(operation_id, 13, 4) = substr(?1, 13, 4) AND operation_id = ?1
ORDER BY position;

-- An id that is there already becomes null, and the row is ignored. A SELECT from
-- the table that the row goes into would be put into a table of its own first,
-- which costs three times as much.
-- name: log.insert_blob
INSERT OR IGNORE INTO blobs (id, salt, fingerprint, data) VALUES (
    CASE WHEN NOT EXISTS (SELECT 1 FROM blobs b WHERE substr(b.id, 1, 4) = substr(?1, 1, 4) AND b.id = ?1) THEN ?1 END,
    ?2,
    substr(?3, 1, 8),
    ?4
);

-- name: log.restore_blob
UPDATE blobs SET salt = ?2, fingerprint = substr(?3, 1, 8), data = ?4
WHERE substr(id, 1, 4) = substr(?1, 1, 4) AND id = ?1 AND data IS NULL;

-- name: log.blob
SELECT unpack(data) FROM blobs WHERE substr(id, 1, 4) = substr(?1, 1, 4) AND id = ?1;

-- The same for what goes on without it where it is damaged.
-- name: log.sound_blob
SELECT unpack_sound(data) FROM blobs WHERE substr(id, 1, 4) = substr(?1, 1, 4) AND id = ?1;

-- name: log.salts
SELECT id, salt FROM blobs
WHERE substr(fingerprint, 1, 4) = substr(?1, 1, 4) AND fingerprint = substr(?1, 1, 8) AND salt IS NOT NULL LIMIT 8;
