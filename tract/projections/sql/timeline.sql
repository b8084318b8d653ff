-- Operations, newest first, straight from the log: an operation stands where its
-- first event does. No table is kept for them, for a row a commit would be a
-- tenth of what the commit itself takes.

-- name: receipts.of_tract
SELECT e.position, e.version, e.operation_id, e.tract_id, e.actor, e.recorded_at FROM events e
WHERE e.stream_id = ?1 AND e.version < ?2 AND e.tract_id = ?4 AND NOT EXISTS (
    SELECT 1 FROM events p
    WHERE substr(p.operation_id, 1, 8) = substr(e.operation_id, 1, 8)
      AND substr(p.operation_id, 13, 4) = substr(e.operation_id, 13, 4)
      AND p.operation_id = e.operation_id AND p.position < e.position)
ORDER BY e.version DESC LIMIT ?3;

-- name: receipts.of_family
SELECT e.position, e.version, e.operation_id, e.tract_id, e.actor, e.recorded_at FROM events e
WHERE e.stream_id = ?1 AND e.version < ?2 AND NOT EXISTS (
    SELECT 1 FROM events p
    WHERE substr(p.operation_id, 1, 8) = substr(e.operation_id, 1, 8)
      AND substr(p.operation_id, 13, 4) = substr(e.operation_id, 13, 4)
      AND p.operation_id = e.operation_id AND p.position < e.position)
ORDER BY e.version DESC LIMIT ?3;

-- name: receipts.of_store
SELECT e.position, e.version, e.operation_id, e.tract_id, e.actor, e.recorded_at FROM events e
WHERE e.position < ?1 AND NOT EXISTS (
    SELECT 1 FROM events p
    WHERE substr(p.operation_id, 1, 8) = substr(e.operation_id, 1, 8)
      AND substr(p.operation_id, 13, 4) = substr(e.operation_id, 13, 4)
      AND p.operation_id = e.operation_id AND p.position < e.position)
ORDER BY e.position DESC LIMIT ?2;

-- Where an operation begins.
-- name: receipts.start
SELECT e.position, e.version, e.stream_id, e.tract_id FROM events e
WHERE substr(e.operation_id, 1, 8) = substr(?1, 1, 8) AND substr(e.operation_id, 13, 4) = substr(?1, 13, 4) AND e.operation_id = ?1
ORDER BY e.position LIMIT 1;

-- What an operation did, by kind; the branch is that of the last event of the
-- kind, for of columns beside a max SQLite shows those of its row. A sum that
-- is greater than any integer ends at the greatest.
-- name: receipts.steps
SELECT e.type,
       CASE e.type WHEN 'commit.recorded' THEN json_extract(e.data, '$.commit.operation')
                   WHEN 'operation.recorded' THEN json_extract(e.data, '$.kind') ELSE e.type END AS word,
       count(*),
       CAST(total(json_extract(e.data, '$.tokens')) AS INTEGER),
       max(e.position) AS last,
       json_extract(e.data, '$.branch')
FROM events e
WHERE substr(e.operation_id, 1, 8) = substr(?1, 1, 8) AND substr(e.operation_id, 13, 4) = substr(?1, 13, 4) AND e.operation_id = ?1
GROUP BY e.type, word ORDER BY last;

-- name: generations.by_start
SELECT e.*, g.status, l.until
FROM generations g JOIN events e ON e.position = g.number LEFT JOIN leases l ON l.generation = g.id
WHERE g.number = ?;
