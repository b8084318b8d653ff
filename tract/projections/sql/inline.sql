-- Tables derived from events and kept in step with every append. Integers are
-- physical: a row made by an event bears that event's position as its number.

-- name: tracts.create
CREATE TABLE tracts (
    number   INTEGER PRIMARY KEY,
    id       BLOB NOT NULL UNIQUE,
    stream   BLOB NOT NULL,
    parent   BLOB,
    name     TEXT NOT NULL,
    metadata BLOB
) STRICT;

-- name: tracts.create_by_name
CREATE INDEX tracts_by_name ON tracts (name) WHERE parent IS NULL;

-- name: tracts.create_roots
CREATE INDEX tracts_roots ON tracts (number) WHERE parent IS NULL;

-- name: tracts.drop
DROP TABLE IF EXISTS tracts;

-- name: tracts.rows
SELECT * FROM tracts ORDER BY number;

-- name: tracts.insert
INSERT INTO tracts VALUES (?, ?, ?, ?, ?, ?);

-- name: tracts.root_by_name
SELECT number, id, stream, name FROM tracts WHERE parent IS NULL AND name = ?;

-- name: tracts.roots
SELECT number, id, stream, name FROM tracts WHERE parent IS NULL ORDER BY number LIMIT ?;

-- A run is a stretch of first-parent history: a commit continues the run of its
-- first parent where that parent is its tip, and opens a new one where not. So
-- the ancestors of a commit are a few ranges (run, up to number).
-- name: commits.create
CREATE TABLE commits (
    number  INTEGER PRIMARY KEY,
    id      BLOB    NOT NULL,
    parent  INTEGER,
    merged  INTEGER,
    depth   INTEGER NOT NULL,
    run     INTEGER NOT NULL,
    content INTEGER,
    details INTEGER,
    config  INTEGER,
    slots   INTEGER NOT NULL,
    tokens  INTEGER NOT NULL
) STRICT;

-- An id is looked up by its first four bytes, as a blob's is.
-- name: commits.create_by_id
CREATE INDEX commits_by_id ON commits (substr(id, 1, 4));

-- name: commits.create_by_run
CREATE INDEX commits_by_run ON commits (run, number);

-- Merges are few: looking for them must not walk what lies between.
-- name: commits.create_by_merge
CREATE INDEX commits_by_merge ON commits (run, number, merged) WHERE merged IS NOT NULL;

-- name: commits.drop
DROP TABLE IF EXISTS commits;

-- name: commits.rows
SELECT * FROM commits ORDER BY number;

-- An id that is there already becomes null, which the table refuses. The parent
-- is looked up for each column: a SELECT from the table that the row goes into
-- would be put into a table of its own first, which costs twice as much.
-- name: commits.insert
INSERT INTO commits VALUES (
    ?1,
    CASE WHEN EXISTS (SELECT 1 FROM commits c WHERE substr(c.id, 1, 4) = substr(?2, 1, 4) AND c.id = ?2) THEN NULL ELSE ?2 END,
    (SELECT p.number FROM commits p WHERE substr(p.id, 1, 4) = substr(?3, 1, 4) AND p.id = ?3),
    (SELECT m.number FROM commits m WHERE substr(m.id, 1, 4) = substr(?4, 1, 4) AND m.id = ?4),
    coalesce((SELECT p.depth + 1 FROM commits p WHERE substr(p.id, 1, 4) = substr(?3, 1, 4) AND p.id = ?3), 0),
    coalesce((SELECT p.run FROM commits p WHERE substr(p.id, 1, 4) = substr(?3, 1, 4) AND p.id = ?3
              AND p.number = (SELECT max(t.number) FROM commits t WHERE t.run = p.run)), ?1),
    (SELECT b.number FROM blobs b WHERE substr(b.id, 1, 4) = substr(?5, 1, 4) AND b.id = ?5),
    (SELECT b.number FROM blobs b WHERE substr(b.id, 1, 4) = substr(?6, 1, 4) AND b.id = ?6),
    (SELECT b.number FROM blobs b WHERE substr(b.id, 1, 4) = substr(?7, 1, 4) AND b.id = ?7),
    coalesce((SELECT p.slots FROM commits p WHERE substr(p.id, 1, 4) = substr(?3, 1, 4) AND p.id = ?3), 0) + ?8,
    coalesce((SELECT p.tokens FROM commits p WHERE substr(p.id, 1, 4) = substr(?3, 1, 4) AND p.id = ?3), 3) + ?9
);

-- The same behind one commit whose number is known, in two thirds of the time.
-- name: commits.insert_behind
INSERT INTO commits VALUES (
    ?1,
    CASE WHEN EXISTS (SELECT 1 FROM commits c WHERE substr(c.id, 1, 4) = substr(?2, 1, 4) AND c.id = ?2) THEN NULL ELSE ?2 END,
    ?3,
    NULL,
    (SELECT p.depth + 1 FROM commits p WHERE p.number = ?3),
    coalesce((SELECT p.run FROM commits p WHERE p.number = ?3 AND p.number = (SELECT max(t.number) FROM commits t WHERE t.run = p.run)), ?1),
    (SELECT b.number FROM blobs b WHERE substr(b.id, 1, 4) = substr(?4, 1, 4) AND b.id = ?4),
    (SELECT b.number FROM blobs b WHERE substr(b.id, 1, 4) = substr(?5, 1, 4) AND b.id = ?5),
    (SELECT b.number FROM blobs b WHERE substr(b.id, 1, 4) = substr(?6, 1, 4) AND b.id = ?6),
    (SELECT p.slots FROM commits p WHERE p.number = ?3) + ?7,
    (SELECT p.tokens FROM commits p WHERE p.number = ?3) + ?8
);

-- name: commits.by_id
SELECT c.number, c.id, c.parent, c.run, c.depth, c.slots, c.tokens FROM commits c
WHERE substr(c.id, 1, 4) = substr(?1, 1, 4) AND c.id = ?1;

-- name: commits.by_number
SELECT c.number, c.id, c.parent, c.run, c.depth, c.slots, c.tokens FROM commits c WHERE c.number = ?;

-- name: commits.by_prefix
SELECT c.number, c.id, c.parent, c.run, c.depth, c.slots, c.tokens
FROM commits c JOIN events e ON e.position = c.number
WHERE substr(c.id, 1, 4) >= substr(?1, 1, 4) AND substr(c.id, 1, 4) <= substr(?2, 1, 4)
  AND c.id >= ?1 AND c.id <= ?2 AND +e.stream_id = ?3 LIMIT 8;

-- name: commits.back_in_run
SELECT c.number FROM commits c WHERE c.run = ?1 AND c.number <= ?2 ORDER BY c.number DESC LIMIT 1 OFFSET ?3;

-- name: commits.run_start
SELECT c.depth, p.run, p.number FROM commits c LEFT JOIN commits p ON p.number = c.parent WHERE c.number = ?;

-- name: commits.merged_in_run
SELECT m.number, m.run FROM commits c JOIN commits m ON m.number = c.merged
WHERE c.merged IS NOT NULL AND c.run = ?1 AND c.number > ?2 AND c.number <= ?3;

-- name: commits.any_merge
SELECT 1 FROM commits c WHERE c.merged IS NOT NULL LIMIT 1;

-- name: commits.steps
SELECT c.number, c.id, c.parent, c.merged, e.data, unpack(b.data), c.config
FROM commits c JOIN events e ON e.position = c.number LEFT JOIN blobs b ON b.number = c.content
WHERE c.run = ?1 AND c.number > ?2 AND c.number <= ?3 ORDER BY c.number;

-- name: commits.blob_by_number
SELECT unpack(data) FROM blobs WHERE number = ?;

-- name: commits.log
SELECT e.*, unpack(b.data), unpack(d.data), unpack(f.data)
FROM commits c JOIN events e ON e.position = c.number
LEFT JOIN blobs b ON b.number = c.content
LEFT JOIN blobs d ON d.number = c.details
LEFT JOIN blobs f ON f.number = c.config
WHERE c.run = ?1 AND c.number <= ?2 AND (?3 IS NULL OR json_extract(e.data, '$.commit.operation') = ?3)
ORDER BY c.number DESC LIMIT ?4;

-- name: commits.log_entry
SELECT e.*, unpack(b.data), unpack(d.data), unpack(f.data)
FROM commits c JOIN events e ON e.position = c.number
LEFT JOIN blobs b ON b.number = c.content
LEFT JOIN blobs d ON d.number = c.details
LEFT JOIN blobs f ON f.number = c.config
WHERE c.number = ?;

-- name: refs.create
CREATE TABLE refs (
    number INTEGER PRIMARY KEY,
    tract  INTEGER NOT NULL,
    kind   TEXT    NOT NULL CHECK (kind IN ('branch', 'tag', 'worktree')),
    name   TEXT    NOT NULL,
    head   INTEGER,
    branch TEXT,
    UNIQUE (tract, kind, name)
) STRICT;

-- name: refs.drop
DROP TABLE IF EXISTS refs;

-- name: refs.rows
SELECT * FROM refs ORDER BY number;

-- name: refs.insert_branch
INSERT INTO refs
SELECT ?1, t.number, 'branch', ?3,
       (SELECT c.number FROM commits c WHERE substr(c.id, 1, 4) = substr(?4, 1, 4) AND c.id = ?4), NULL
FROM tracts t WHERE t.id = ?2;

-- name: refs.move_branch
UPDATE refs SET head = ?3
WHERE tract = (SELECT t.number FROM tracts t WHERE t.id = ?1) AND kind = 'branch' AND name = ?2;

-- name: refs.move_worktree
INSERT INTO refs
SELECT ?1, t.number, 'worktree', ?3,
       (SELECT c.number FROM commits c WHERE substr(c.id, 1, 4) = substr(?5, 1, 4) AND c.id = ?5), ?4
FROM tracts t WHERE t.id = ?2
ON CONFLICT (tract, kind, name) DO UPDATE SET head = excluded.head, branch = excluded.branch;

-- name: refs.branch
SELECT c.id, c.number, c.parent, c.run, c.depth, c.slots, c.tokens FROM refs r LEFT JOIN commits c ON c.number = r.head
WHERE r.tract = ? AND r.kind = 'branch' AND r.name = ?;

-- name: refs.branches
SELECT r.name, c.id, c.number, e.recorded_at
FROM refs r LEFT JOIN commits c ON c.number = r.head
JOIN events e ON e.position = (SELECT max(m.position) FROM movements m WHERE m.ref = r.number)
WHERE r.tract = ?1 AND r.kind = 'branch' ORDER BY r.name;

-- name: refs.one_branch
SELECT r.name, c.id, c.number, e.recorded_at
FROM refs r LEFT JOIN commits c ON c.number = r.head
JOIN events e ON e.position = (SELECT max(m.position) FROM movements m WHERE m.ref = r.number)
WHERE r.tract = ?1 AND r.kind = 'branch' AND r.name = ?2;

-- name: refs.branch_names
SELECT name FROM refs WHERE tract = ? AND kind = 'branch' ORDER BY name;

-- name: refs.branch_number
SELECT number FROM refs WHERE tract = ? AND kind = 'branch' AND name = ?;

-- name: refs.tag
SELECT c.id, c.number FROM refs r JOIN commits c ON c.number = r.head
WHERE r.tract = ? AND r.kind = 'tag' AND r.name = ?;

-- name: refs.worktree
SELECT r.branch, c.id FROM refs r LEFT JOIN commits c ON c.number = r.head
WHERE r.tract = ? AND r.kind = 'worktree' AND r.name = ?;

-- What a branch gained since a commit, newest first; nothing where it is still
-- there. The last row has that commit as its parent if the branch still
-- descends from it. Parents are older than their children, so that nothing
-- older than that commit is walked.
-- name: refs.gained
WITH RECURSIVE gained (number, parent) AS (
    SELECT c.number, c.parent FROM refs r JOIN commits c ON c.number = r.head
    WHERE r.tract = ?1 AND r.kind = 'branch' AND r.name = ?2 AND c.number IS NOT ?3
    UNION ALL
    SELECT c.number, c.parent FROM gained g JOIN commits c ON c.number = g.parent WHERE g.parent > coalesce(?3, 0)
)
SELECT json_extract(e.data, '$.commit.operation'), g.parent
FROM gained g JOIN events e ON e.position = g.number ORDER BY g.number DESC;

-- Where a branch or a worktree's HEAD went, by event.
-- name: movements.create
CREATE TABLE movements (
    ref           INTEGER NOT NULL,
    position      INTEGER NOT NULL,
    before        INTEGER,
    after         INTEGER,
    branch_before TEXT,
    branch_after  TEXT,
    PRIMARY KEY (ref, position)
) STRICT, WITHOUT ROWID;

-- name: movements.drop
DROP TABLE IF EXISTS movements;

-- name: movements.rows
SELECT * FROM movements ORDER BY ref, position;

-- name: movements.branch_created
INSERT INTO movements
SELECT ?1, ?1, NULL, (SELECT c.number FROM commits c WHERE substr(c.id, 1, 4) = substr(?2, 1, 4) AND c.id = ?2), NULL, NULL;

-- The movement before is where the ref was: read here and not in refs, so that
-- the order in which the two projections see an event does not matter.
-- A branch that is not there does not move: its ref is null then, and the row is
-- ignored. A SELECT from the table that the row goes into would cost as much again.
-- name: movements.branch_moved
INSERT OR IGNORE INTO movements VALUES (
    (SELECT r.number FROM tracts t JOIN refs r ON r.tract = t.number AND r.kind = 'branch' AND r.name = ?3 WHERE t.id = ?2),
    ?1,
    (SELECT m.after FROM movements m
     WHERE m.ref = (SELECT r.number FROM tracts t JOIN refs r ON r.tract = t.number AND r.kind = 'branch' AND r.name = ?3 WHERE t.id = ?2)
     ORDER BY m.position DESC LIMIT 1),
    ?1,
    NULL,
    NULL
);

-- name: movements.worktree_moved
INSERT INTO movements
SELECT r.number, ?1,
       (SELECT m.after FROM movements m WHERE m.ref = r.number ORDER BY m.position DESC LIMIT 1),
       (SELECT c.number FROM commits c WHERE substr(c.id, 1, 4) = substr(?5, 1, 4) AND c.id = ?5),
       (SELECT m.branch_after FROM movements m WHERE m.ref = r.number ORDER BY m.position DESC LIMIT 1),
       ?4
FROM refs r WHERE r.tract = (SELECT t.number FROM tracts t WHERE t.id = ?2) AND r.kind = 'worktree' AND r.name = ?3;

-- name: movements.newest
SELECT m.position, e.recorded_at, m.after
FROM movements m JOIN events e ON e.position = m.position
WHERE m.ref = ?1 AND m.position <= ?2 ORDER BY m.position DESC LIMIT 1;

-- name: receipts.create_events
CREATE TABLE operation_events (
    number        INTEGER PRIMARY KEY,
    operation     BLOB NOT NULL,
    tract         BLOB NOT NULL,
    kind          TEXT NOT NULL,
    branch        TEXT,
    tokens_before INTEGER,
    tokens_after  INTEGER,
    parameters    BLOB
) STRICT;

-- name: receipts.create_commits
CREATE TABLE operation_commits (
    number INTEGER NOT NULL,
    role   TEXT    NOT NULL CHECK (role IN ('source', 'result')),
    place  INTEGER NOT NULL,
    id     BLOB    NOT NULL,
    PRIMARY KEY (number, role, place)
) STRICT, WITHOUT ROWID;

-- name: receipts.drop_events
DROP TABLE IF EXISTS operation_events;

-- name: receipts.event_rows
SELECT * FROM operation_events ORDER BY number;

-- name: receipts.drop_commits
DROP TABLE IF EXISTS operation_commits;

-- name: receipts.commit_rows
SELECT * FROM operation_commits ORDER BY number, role, place;

-- name: receipts.insert_event
INSERT INTO operation_events VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: receipts.insert_commit
INSERT INTO operation_commits VALUES (?, ?, ?, ?);

-- name: generations.create
CREATE TABLE generations (
    number         INTEGER PRIMARY KEY,
    id             BLOB    NOT NULL UNIQUE,
    tract          INTEGER NOT NULL,
    branch         TEXT    NOT NULL,
    status         TEXT    NOT NULL,
    base           BLOB,
    question       BLOB,
    head           BLOB,
    answer         BLOB,
    partial        BLOB,
    finish_reason  TEXT,
    payload_digest BLOB,
    ended          INTEGER
) STRICT;

-- name: generations.create_by_tract
CREATE INDEX generations_by_tract ON generations (tract, number);

-- name: generations.create_running
CREATE INDEX generations_running ON generations (tract, branch) WHERE status = 'running';

-- name: generations.create_usage
CREATE TABLE usage (
    number        INTEGER PRIMARY KEY,
    tract         INTEGER NOT NULL,
    generation    INTEGER,
    attempt       INTEGER NOT NULL,
    commit_number INTEGER,
    run           INTEGER,
    prompt        INTEGER,
    completion    INTEGER,
    cached        INTEGER,
    reasoning     INTEGER
) STRICT;

-- name: generations.create_usage_by_run
CREATE INDEX usage_by_run ON usage (run, commit_number) WHERE prompt IS NOT NULL;

-- name: generations.create_usage_reported
CREATE INDEX usage_reported ON usage (number) WHERE prompt IS NOT NULL;

-- name: generations.drop
DROP TABLE IF EXISTS generations;

-- name: generations.rows
SELECT * FROM generations ORDER BY number;

-- name: generations.drop_usage
DROP TABLE IF EXISTS usage;

-- name: generations.usage_rows
SELECT * FROM usage ORDER BY number;

-- name: generations.start
INSERT INTO generations
SELECT ?1, ?2, t.number, ?4, 'running', ?5, ?6, ?7, NULL, NULL, NULL, NULL, NULL FROM tracts t WHERE t.id = ?3;

-- name: generations.end
UPDATE generations SET status = ?2, question = ?3, answer = ?4, partial = ?5, finish_reason = ?6, ended = ?7 WHERE id = ?1;

-- name: generations.compiled
UPDATE generations SET payload_digest = ?2 WHERE id = ?1;

-- name: generations.record_usage
INSERT INTO usage
SELECT ?1, t.number, (SELECT g.number FROM generations g WHERE g.id = ?3), ?4, c.number, c.run, ?6, ?7, ?8, ?9
FROM tracts t LEFT JOIN commits c ON substr(c.id, 1, 4) = substr(?5, 1, 4) AND c.id = ?5 WHERE t.id = ?2;

-- name: generations.by_id
SELECT number, question, answer, status FROM generations WHERE id = ? AND tract = ?;

-- name: generations.status
SELECT status FROM generations WHERE id = ?;

-- name: generations.running
SELECT e.*, l.until
FROM generations g JOIN events e ON e.position = g.number LEFT JOIN leases l ON l.generation = g.id
WHERE g.status = 'running' ORDER BY g.number;

-- name: generations.running_on
SELECT g.id FROM generations g WHERE g.status = 'running' AND g.tract = ? AND g.branch = ?;

-- Calls on a branch from an event on, oldest first: the event that began each,
-- its status, question and answer, and until when its owner spoke for it.
-- name: generations.begun_since
SELECT e.*, g.status, g.question, g.answer, l.until
FROM generations g JOIN events e ON e.position = g.number LEFT JOIN leases l ON l.generation = g.id
WHERE g.tract = ?1 AND g.number >= ?3 AND g.branch = ?2 ORDER BY g.number;

-- How calls stand, newest first: the event that began each, then the rest. Of
-- an answer that is not whole its partial is all that arrived, which may be more
-- than what was kept on the branch.
-- name: generations.listed
SELECT e.*, g.status, g.question, g.answer, g.finish_reason, n.recorded_at, l.until, unpack(b.data)
FROM generations g JOIN events e ON e.position = g.number
LEFT JOIN events n ON n.position = g.ended
LEFT JOIN leases l ON l.generation = g.id
LEFT JOIN commits c ON substr(c.id, 1, 4) = substr(g.answer, 1, 4) AND c.id = g.answer
LEFT JOIN blobs p ON substr(p.id, 1, 4) = substr(g.partial, 1, 4) AND p.id = g.partial
LEFT JOIN blobs b ON b.number = coalesce(p.number, c.content)
WHERE g.tract = ?1 AND g.number < coalesce(?2, 9223372036854775807)
ORDER BY g.number DESC LIMIT ?3;

-- name: generations.one
SELECT e.*, g.status, g.question, g.answer, g.finish_reason, n.recorded_at, l.until, unpack(b.data)
FROM generations g JOIN events e ON e.position = g.number
LEFT JOIN events n ON n.position = g.ended
LEFT JOIN leases l ON l.generation = g.id
LEFT JOIN commits c ON substr(c.id, 1, 4) = substr(g.answer, 1, 4) AND c.id = g.answer
LEFT JOIN blobs p ON substr(p.id, 1, 4) = substr(g.partial, 1, 4) AND p.id = g.partial
LEFT JOIN blobs b ON b.number = coalesce(p.number, c.content)
WHERE g.id = ?1 AND g.tract = ?2;

-- name: generations.newest
SELECT max(g.number) FROM generations g WHERE g.tract = ?;

-- The newest context of a branch that was sent, or is on its way: a call that
-- ended before has no digest, and one that its owner never ended none either.
-- name: generations.sent
SELECT g.head, g.status, json_extract(e.data, '$.compiler')
FROM generations g JOIN events e ON e.position = g.number
WHERE g.tract = ?1 AND g.branch = ?2 AND g.number > ?3 AND g.head IS NOT NULL
AND (g.payload_digest IS NOT NULL OR g.status IN ('running', 'interrupted'))
ORDER BY g.number DESC LIMIT 1;

-- name: generations.attempts
SELECT count(*) FROM usage u JOIN generations g ON g.number = u.generation WHERE g.id = ?;

-- The newest report in a stretch of history, with the totals of its commit.
-- name: generations.last_report
SELECT max(u.number) FROM usage u WHERE u.prompt IS NOT NULL;

-- Many servers count what the model thought as part of the completion and do
-- not say how much that was: then it is what was counted for it, of the same call.
-- name: generations.reported
SELECT c.id, iif(u.generation IS NULL, 0, c.tokens - coalesce(p.tokens, 3)), u.prompt, u.completion, u.reasoning, json_extract(e.data, '$.tokens'), c.tokens, unpack(f.data)
FROM usage u JOIN commits c ON c.number = u.commit_number LEFT JOIN blobs f ON f.number = c.config
JOIN events a ON a.position = c.number
LEFT JOIN commits p ON p.number = c.parent
LEFT JOIN events e ON e.position = c.parent AND e.operation_id = a.operation_id
  AND json_extract(e.data, '$.commit.content.type') = 'reasoning'
WHERE u.run = ?1 AND u.commit_number <= ?2 AND u.prompt IS NOT NULL
ORDER BY u.commit_number DESC, u.number DESC LIMIT 1;

-- name: settings.create
CREATE TABLE settings (
    tract       INTEGER PRIMARY KEY,
    number      INTEGER NOT NULL,
    llm_config  BLOB,
    max_tokens  INTEGER,
    action      TEXT,
    compress_at INTEGER,
    operations  BLOB
) STRICT;

-- name: settings.drop
DROP TABLE IF EXISTS settings;

-- name: settings.rows
SELECT * FROM settings ORDER BY tract;

-- name: settings.replace
INSERT OR REPLACE INTO settings SELECT t.number, ?1, ?3, ?4, ?5, ?6, ?7 FROM tracts t WHERE t.id = ?2;

-- name: settings.of_tract
SELECT s.number, s.llm_config, unpack(b.data), s.operations, unpack(o.data), s.max_tokens, s.action, s.compress_at
FROM settings s
LEFT JOIN blobs b ON substr(b.id, 1, 4) = substr(s.llm_config, 1, 4) AND b.id = s.llm_config
LEFT JOIN blobs o ON substr(o.id, 1, 4) = substr(s.operations, 1, 4) AND o.id = s.operations
WHERE s.tract = ?;

-- name: settings.budget
SELECT max_tokens, action, compress_at FROM settings WHERE tract = ? AND max_tokens IS NOT NULL;
