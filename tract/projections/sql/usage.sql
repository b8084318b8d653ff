-- What model calls cost, summed; it follows the log a little behind it.

-- A day is counted from 1970-01-01, UTC; '' stands for what is not known. The
-- config is the hex id of its blob, not the model in it, so that erasing the
-- blob takes the model's name away and the sums stay.
-- name: usage_sums.create
CREATE TABLE usage_sums (
    family     INTEGER NOT NULL,
    tract      INTEGER NOT NULL,
    day        INTEGER NOT NULL,
    branch     TEXT    NOT NULL,
    config     TEXT    NOT NULL,
    verb       TEXT    NOT NULL,
    calls      INTEGER NOT NULL,
    unreported INTEGER NOT NULL,
    prompt     INTEGER,
    completion INTEGER,
    cached     INTEGER,
    reasoning  INTEGER,
    PRIMARY KEY (family, tract, day, branch, config, verb)
) STRICT, WITHOUT ROWID;

-- name: usage_sums.drop
DROP TABLE IF EXISTS usage_sums;

-- name: usage_sums.rows
SELECT * FROM usage_sums ORDER BY family, tract, day, branch, config, verb;

-- Branch, config and verb stand in the event that began the call; of a call that
-- was made elsewhere, in the event that recorded its answer. What is read here
-- besides was there before, and never changes: so it does not matter how far
-- behind the log this is done. A sum ends at the greatest integer: what a
-- provider claims shall not keep the others from being counted. A call whose
-- owner was taken for dead was counted when that was recorded: what the owner
-- tells of its first attempt, when it comes back, takes the place of that.
-- name: usage_sums.add
INSERT INTO usage_sums
SELECT f.number, t.number, coalesce(i.recorded_at / 86400000000, ?3),
       coalesce(json_extract(s.data, '$.branch'), ''),
       coalesce(json_extract(s.data, '$.config'), json_extract(s.data, '$.commit.config'), ''),
       coalesce(?6, json_extract(s.data, '$.verb'), ''),
       1 - (i.position IS NOT NULL), ?7 - (i.position IS NOT NULL), ?8, ?9, ?10, ?11
FROM tracts t JOIN tracts f ON f.id = ?2
LEFT JOIN generations g ON g.id = ?4
LEFT JOIN commits c ON substr(c.id, 1, 4) = substr(?5, 1, 4) AND c.id = ?5
LEFT JOIN events s ON s.position = coalesce(g.number, c.number)
LEFT JOIN events i ON substr(i.operation_id, 1, 8) = substr(?12, 1, 8) AND substr(i.operation_id, 13, 4) = substr(?12, 13, 4)
  AND i.operation_id = ?12 AND i.type = 'generation.interrupted' AND i.position < ?13
  AND json_extract(i.data, '$.generation') = ?14
WHERE t.id = ?1
ON CONFLICT (family, tract, day, branch, config, verb) DO UPDATE SET
    calls = calls + excluded.calls,
    unreported = unreported + excluded.unreported,
    prompt = CASE WHEN excluded.prompt IS NULL THEN prompt
             ELSE min(coalesce(prompt, 0) + excluded.prompt, 9223372036854775807) END,
    completion = CASE WHEN excluded.completion IS NULL THEN completion
                 ELSE min(coalesce(completion, 0) + excluded.completion, 9223372036854775807) END,
    cached = CASE WHEN excluded.cached IS NULL THEN cached
             ELSE min(coalesce(cached, 0) + excluded.cached, 9223372036854775807) END,
    reasoning = CASE WHEN excluded.reasoning IS NULL THEN reasoning
                ELSE min(coalesce(reasoning, 0) + excluded.reasoning, 9223372036854775807) END;

-- name: usage_sums.of_tract
SELECT f.id, t.id, s.day, s.branch, s.config, s.verb, s.calls, s.unreported, s.prompt, s.completion, s.cached, s.reasoning
FROM tracts f JOIN tracts t ON t.number = ?2 JOIN usage_sums s ON s.family = f.number AND s.tract = t.number
WHERE f.id = ?1 AND s.day BETWEEN ?3 AND ?4;

-- name: usage_sums.of_family
SELECT f.id, t.id, s.day, s.branch, s.config, s.verb, s.calls, s.unreported, s.prompt, s.completion, s.cached, s.reasoning
FROM tracts f JOIN usage_sums s ON s.family = f.number JOIN tracts t ON t.number = s.tract
WHERE f.id = ?1 AND s.day BETWEEN ?2 AND ?3;

-- name: usage_sums.of_store
SELECT f.id, t.id, s.day, s.branch, s.config, s.verb, s.calls, s.unreported, s.prompt, s.completion, s.cached, s.reasoning
FROM usage_sums s JOIN tracts f ON f.number = s.family JOIN tracts t ON t.number = s.tract
WHERE s.day BETWEEN ?1 AND ?2;
