-- Contexts that were compiled, kept so that they need not be again. No event
-- depends on them and none is folded into them: rows may go at any time, and
-- whatever does not fit its checksum counts as gone. Numbers and counts only;
-- tract/operations/frozen.py has the shapes.

-- One context: its commit with that one's run, the first commit of its history,
-- the version of the shapes, the keys of its leaves as a JSON array, and its root.
-- name: contexts.create
CREATE TABLE IF NOT EXISTS contexts (
    number  INTEGER PRIMARY KEY,
    run     INTEGER NOT NULL,
    origin  INTEGER NOT NULL,
    version INTEGER NOT NULL,
    leaves  BLOB    NOT NULL,
    data    BLOB    NOT NULL
) STRICT;

-- name: contexts.create_by_run
CREATE INDEX IF NOT EXISTS contexts_by_run ON contexts (run, number);

-- name: contexts.create_by_origin
CREATE INDEX IF NOT EXISTS contexts_by_origin ON contexts (origin, number);

-- Parts of contexts, under their checksums: what several have in common is here once.
-- name: contexts.create_leaves
CREATE TABLE IF NOT EXISTS context_leaves (
    key    INTEGER PRIMARY KEY,
    origin INTEGER NOT NULL,
    data   BLOB    NOT NULL
) STRICT;

-- name: contexts.create_leaves_by_origin
CREATE INDEX IF NOT EXISTS context_leaves_by_origin ON context_leaves (origin);

-- The last one in a stretch of a run.
-- name: contexts.nearest
SELECT x.number, c.depth, x.origin, x.run, c.id, x.leaves, x.data
FROM contexts x JOIN commits c ON c.number = x.number AND c.run = x.run
WHERE x.run = ?1 AND x.number > ?2 AND x.number <= ?3 AND x.version = ?4 ORDER BY x.number DESC LIMIT 1;

-- name: contexts.next
SELECT x.number, c.depth, x.origin, x.run, c.id, x.leaves, x.data
FROM contexts x LEFT JOIN commits c ON c.number = x.number AND c.run = x.run
WHERE x.number > ?1 AND x.version = ?2 ORDER BY x.number LIMIT 1;

-- name: contexts.leaves
SELECT l.key, l.data FROM json_each(CAST(?1 AS TEXT)) k CROSS JOIN context_leaves l ON l.key = k.value;

-- Ids and contents of the commits in some stretches, each a run and the last
-- number in it; then what contents were made with, by the blob's number.
-- name: contexts.texts
SELECT c.number, c.id, b.id, b.data
FROM json_each(?1) s
CROSS JOIN commits c ON c.run = json_extract(s.value, '$[0]') AND c.number <= json_extract(s.value, '$[1]')
LEFT JOIN blobs b ON b.number = c.content
UNION ALL
SELECT b.number, NULL, NULL, b.data FROM json_each(?2) k CROSS JOIN blobs b ON b.number = k.value;

-- name: contexts.numbers
SELECT c.number, c.id, c.config FROM commits c WHERE c.run = ?1 AND c.number > ?2 AND c.number <= ?3;

-- name: contexts.number
SELECT c.number, c.id, c.config FROM commits c WHERE substr(c.id, 1, 4) = substr(?1, 1, 4) AND c.id = ?1;

-- name: contexts.heads
SELECT DISTINCT r.head FROM refs r WHERE r.kind = 'branch' AND r.head > ?1 ORDER BY r.head;

-- name: contexts.put_leaf
INSERT INTO context_leaves VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET data = excluded.data;

-- Not without its leaves: another process may have removed one that was there.
-- Nor once the commits stand in other tables than those it was computed from.
-- name: contexts.put
INSERT INTO contexts
SELECT ?1, ?2, ?3, ?4, ?5, ?6
WHERE NOT EXISTS (
    SELECT 1 FROM json_each(CAST(?5 AS TEXT)) k WHERE NOT EXISTS (SELECT 1 FROM context_leaves l WHERE l.key = k.value)
)
AND coalesce((SELECT p.edition FROM projections p WHERE p.name = 'commits'), 0) = ?7
ON CONFLICT (number) DO UPDATE SET
    run = excluded.run, origin = excluded.origin, version = excluded.version, leaves = excluded.leaves, data = excluded.data;

-- What a later context of its run replaces: all before it but those at which a branch is.
-- name: contexts.remove_before
DELETE FROM contexts
WHERE run = ?1 AND number < ?2
  AND EXISTS (SELECT 1 FROM contexts x WHERE x.number = ?2)
  AND number NOT IN (SELECT r.head FROM refs r WHERE r.kind = 'branch' AND r.head IS NOT NULL);

-- name: contexts.remove_oldest
DELETE FROM contexts
WHERE origin = ?1 AND number NOT IN (SELECT x.number FROM contexts x WHERE x.origin = ?1 ORDER BY x.number DESC LIMIT ?2);

-- Leaves that no context names any more.
-- name: contexts.sweep
DELETE FROM context_leaves
WHERE origin = ?1 AND key NOT IN (
    SELECT k.value
    FROM contexts x, json_each(CASE WHEN json_valid(CAST(x.leaves AS TEXT)) THEN CAST(x.leaves AS TEXT) ELSE '[]' END) k
    WHERE x.origin = ?1
);

-- name: contexts.clear
DELETE FROM contexts;

-- Some leaves of histories of which no context is kept any more.
-- name: contexts.clear_some_leaves
DELETE FROM context_leaves WHERE key IN (
    SELECT l.key FROM context_leaves l WHERE NOT EXISTS (SELECT 1 FROM contexts x WHERE x.origin = l.origin) LIMIT ?
);

-- name: contexts.clear_leaves
DELETE FROM context_leaves;
