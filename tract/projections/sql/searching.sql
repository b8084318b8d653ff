-- What is searched: the texts that a model reads, by the position of the commit
-- that brought them. The tables follow the log a little behind it.

-- The family stands beside the text as a word, so that a search finds its way
-- past the words of other families without looking at them; and so do, as its
-- kind, the role and the type, in hexadecimal digits.
-- name: search.create_texts
CREATE VIRTUAL TABLE search_texts USING fts5 (family, kind, text, tokenize = "unicode61 remove_diacritics 2");

-- name: search.create_entries
CREATE TABLE search_entries (
    number INTEGER PRIMARY KEY,
    slot   INTEGER NOT NULL,
    tract  INTEGER NOT NULL,
    role   TEXT    NOT NULL,
    type   TEXT    NOT NULL
) STRICT;

-- Which later commits edit, annotate, compress or revert a commit.
-- name: search.create_changes
CREATE TABLE search_changes (
    target INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (target, number)
) STRICT, WITHOUT ROWID;

-- name: search.drop_texts
DROP TABLE IF EXISTS search_texts;

-- name: search.drop_entries
DROP TABLE IF EXISTS search_entries;

-- name: search.drop_changes
DROP TABLE IF EXISTS search_changes;

-- name: search.text_rows
SELECT rowid, family, kind, text FROM search_texts ORDER BY rowid;

-- name: search.entry_rows
SELECT * FROM search_entries ORDER BY number;

-- name: search.change_rows
SELECT * FROM search_changes ORDER BY target, number;

-- name: search.insert_text
INSERT INTO search_texts (rowid, family, kind, text) SELECT ?1, t.number, ?3, ?4 FROM tracts t WHERE t.id = ?2;

-- name: search.insert_entry
INSERT INTO search_entries
SELECT ?1, coalesce((SELECT c.number FROM commits c WHERE substr(c.id, 1, 4) = substr(?3, 1, 4) AND c.id = ?3), ?1), t.number, ?4, ?5
FROM tracts t WHERE t.id = ?2;

-- name: search.insert_change
INSERT OR IGNORE INTO search_changes
SELECT c.number, ?1 FROM commits c WHERE substr(c.id, 1, 4) = substr(?2, 1, 4) AND c.id = ?2;

-- name: search.module
SELECT 1 FROM pragma_module_list WHERE name = 'fts5';

-- name: search.family
SELECT number FROM tracts WHERE id = ?;

-- name: search.has_type
SELECT 1 FROM search_entries WHERE type = ? LIMIT 1;

-- name: search.heads
SELECT r.name, c.run, c.number FROM refs r JOIN commits c ON c.number = r.head
WHERE r.tract = ? AND r.kind = 'branch' ORDER BY r.name;

-- The best first; of equals, the newest. The words of family and kind do not count.
-- name: search.ranked
SELECT c.number, c.run, c.id, n.slot, n.tract, n.role, n.type, s.score, b.salt IS NOT NULL
FROM (
    SELECT rowid AS number, bm25(search_texts, 0.0, 0.0, 1.0) AS score
    FROM search_texts WHERE search_texts MATCH ?1 ORDER BY score, number DESC LIMIT ?2 OFFSET ?3
) s
JOIN search_entries n ON n.number = s.number
JOIN commits c ON c.number = s.number
LEFT JOIN blobs b ON b.number = c.content
ORDER BY s.score, s.number DESC;

-- As bytes, for to SQLite a text ends at a NUL.
-- name: search.text
SELECT substr(CAST(text AS BLOB), 1, ?2) FROM search_texts WHERE rowid = ?1;

-- name: search.time
SELECT json_extract(data, '$.commit.time') FROM events WHERE position = ?;

-- name: search.changes
SELECT number FROM search_changes WHERE target = ? ORDER BY number;

-- name: search.step
SELECT c.id, c.run, json_extract(e.data, '$.commit.operation'), json_extract(e.data, '$.commit.targets'),
       json_extract(e.data, '$.commit.priority'), json_extract(e.data, '$.commit.content') IS NOT NULL
FROM commits c JOIN events e ON e.position = c.number WHERE c.number = ?;

-- name: search.merges
SELECT c.number, m.run, m.number FROM commits c JOIN commits m ON m.number = c.merged
WHERE c.merged IS NOT NULL AND c.run = ?1 AND c.number > ?2 AND c.number <= ?3 ORDER BY c.number;
