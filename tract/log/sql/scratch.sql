-- What is being answered right now. These two tables are no part of the log:
-- rows come and go, and nothing is rebuilt from them.

-- An answer so far, in pieces; `start` is the number of characters before one.
-- name: scratch.create_partials
CREATE TABLE IF NOT EXISTS partials (
    generation BLOB    NOT NULL,
    start      INTEGER NOT NULL,
    text       TEXT    NOT NULL,
    PRIMARY KEY (generation, start)
) STRICT, WITHOUT ROWID;

-- Until when an owner that cannot be looked at counts as alive.
-- name: scratch.create_leases
CREATE TABLE IF NOT EXISTS leases (
    generation BLOB    PRIMARY KEY,
    until      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Nothing is written behind the back of whoever ended the call meanwhile.
-- name: scratch.renew
INSERT INTO leases
SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM generations g WHERE g.id = ?1 AND g.status = 'running')
ON CONFLICT (generation) DO UPDATE SET until = excluded.until;

-- name: scratch.add
INSERT INTO partials
SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM generations g WHERE g.id = ?1 AND g.status = 'running');

-- name: scratch.clear_partials
DELETE FROM partials WHERE generation = ?;

-- name: scratch.clear_lease
DELETE FROM leases WHERE generation = ?;

-- The pieces from a number of characters on, and the one that holds it.
-- name: scratch.pieces
SELECT start, text FROM partials
WHERE generation = ?1 AND start >= coalesce((SELECT max(p.start) FROM partials p WHERE p.generation = ?1 AND p.start <= ?2), 0)
ORDER BY start;

-- name: scratch.length
SELECT coalesce(max(start), -1) FROM partials WHERE generation = ?;
