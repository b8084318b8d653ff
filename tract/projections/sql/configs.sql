-- Which commits have which config, and what its settings are; it follows the log
-- a little behind it. There is no row for a commit without a config.

-- A config is there once in a family, under the number of the first commit that
-- has it; so in the order of these numbers stand those commits too.
-- name: configs.create_sets
CREATE TABLE config_sets (
    number INTEGER PRIMARY KEY,
    family INTEGER NOT NULL,
    blob   INTEGER NOT NULL,
    tract  INTEGER NOT NULL,
    run    INTEGER NOT NULL,
    UNIQUE (family, blob)
) STRICT;

-- name: configs.create_sets_in_order
CREATE INDEX config_sets_in_order ON config_sets (family, number);

-- The commits that have a config which was there already.
-- name: configs.create_uses
CREATE TABLE config_uses (
    config INTEGER NOT NULL,
    number INTEGER NOT NULL,
    family INTEGER NOT NULL,
    tract  INTEGER NOT NULL,
    run    INTEGER NOT NULL,
    PRIMARY KEY (config, number)
) STRICT, WITHOUT ROWID;

-- name: configs.create_uses_in_order
CREATE INDEX config_uses_in_order ON config_uses (family, number);

-- A setting by its dotted path. Numbers and texts are themselves, the rest are
-- bytes, which are never empty: so SQLite's order of values is one in which
-- numbers, texts and the rest stand apart. Tract and run are those of the first
-- commit that has the config.
-- name: configs.create_values
CREATE TABLE config_values (
    family INTEGER NOT NULL,
    path   TEXT    NOT NULL,
    config INTEGER NOT NULL,
    value  ANY     NOT NULL,
    tract  INTEGER NOT NULL,
    run    INTEGER NOT NULL,
    PRIMARY KEY (family, path, config)
) STRICT, WITHOUT ROWID;

-- name: configs.create_values_in_order
CREATE INDEX config_values_in_order ON config_values (family, path, value, config, tract, run);

-- name: configs.drop_sets
DROP TABLE IF EXISTS config_sets;

-- name: configs.drop_uses
DROP TABLE IF EXISTS config_uses;

-- name: configs.drop_values
DROP TABLE IF EXISTS config_values;

-- name: configs.set_rows
SELECT * FROM config_sets ORDER BY number;

-- name: configs.use_rows
SELECT * FROM config_uses ORDER BY config, number;

-- name: configs.value_rows
SELECT * FROM config_values ORDER BY family, path, config;

-- name: configs.add_set
INSERT INTO config_sets
SELECT c.number, f.number, c.config, t.number, c.run
FROM commits c JOIN tracts t ON t.id = ?2 JOIN tracts f ON f.id = ?3
WHERE c.number = ?1 AND c.config IS NOT NULL
ON CONFLICT (family, blob) DO NOTHING;

-- name: configs.add_use
INSERT INTO config_uses
SELECT s.number, c.number, s.family, t.number, c.run
FROM commits c JOIN tracts t ON t.id = ?2 JOIN tracts f ON f.id = ?3
JOIN config_sets s ON s.family = f.number AND s.blob = c.config AND s.number <> c.number
WHERE c.number = ?1;

-- Nothing where the config was there already.
-- name: configs.add_value
INSERT INTO config_values SELECT s.family, ?2, s.number, ?3, s.tract, s.run FROM config_sets s WHERE s.number = ?1;

-- name: configs.family
SELECT number FROM tracts WHERE id = ?;

-- Rows in which a value is compared as `+value` are found in the order of the
-- configs, whatever their values: the others are skipped faster than sorted.
-- name: configs.newest_within
SELECT v.config, v.run, v.value FROM config_values v
WHERE v.family = ?1 AND v.path = ?2 AND v.config < ?3
  AND +v.value BETWEEN ?7 AND ?8 AND +v.value NOT IN (?9, ?10, ?11)
  AND (?4 IS NULL OR v.tract = ?4) AND (?5 IS NULL OR v.run IN (SELECT j.value FROM json_each(?5) j))
ORDER BY v.config DESC LIMIT ?6;

-- name: configs.oldest_within
SELECT v.config, v.run, v.value FROM config_values v
WHERE v.family = ?1 AND v.path = ?2 AND v.config > ?3
  AND +v.value BETWEEN ?7 AND ?8 AND +v.value NOT IN (?9, ?10, ?11)
  AND (?4 IS NULL OR v.tract = ?4) AND (?5 IS NULL OR v.run IN (SELECT j.value FROM json_each(?5) j))
ORDER BY v.config LIMIT ?6;

-- name: configs.newest_equal
SELECT v.config, v.run FROM config_values v
WHERE v.family = ?1 AND v.path = ?2 AND v.config < ?3
  AND (?4 IS NULL OR v.tract = ?4) AND (?5 IS NULL OR v.run IN (SELECT j.value FROM json_each(?5) j))
  AND v.value = ?7
ORDER BY v.config DESC LIMIT ?6;

-- name: configs.oldest_equal
SELECT v.config, v.run FROM config_values v
WHERE v.family = ?1 AND v.path = ?2 AND v.config > ?3
  AND (?4 IS NULL OR v.tract = ?4) AND (?5 IS NULL OR v.run IN (SELECT j.value FROM json_each(?5) j))
  AND v.value = ?7
ORDER BY v.config LIMIT ?6;

-- Those between two places of the index, neither included, in no order.
-- name: configs.between
SELECT v.config, v.run, v.tract FROM config_values v
WHERE v.family = ?1 AND v.path = ?2 AND (v.value, v.config) > (?3, ?4) AND (v.value, v.config) < (?5, ?6) LIMIT ?7;

-- name: configs.last
SELECT max(s.number) FROM config_sets s WHERE s.family = ?;

-- name: configs.count
SELECT count(*) FROM config_sets s WHERE s.family = ?1 AND s.number BETWEEN ?2 AND ?3;

-- name: configs.count_with
SELECT count(*) FROM config_values v WHERE v.family = ?1 AND v.path = ?2 AND v.config BETWEEN ?3 AND ?4;

-- name: configs.without
SELECT s.number, s.run FROM config_sets s
WHERE s.family = ?1 AND s.number BETWEEN ?3 AND ?4
  AND (?5 IS NULL OR s.tract = ?5) AND (?6 IS NULL OR s.run IN (SELECT j.value FROM json_each(?6) j))
  AND NOT EXISTS (SELECT 1 FROM config_values v WHERE v.family = ?1 AND v.path = ?2 AND v.config = s.number);

-- name: configs.value
SELECT v.value FROM config_values v WHERE v.family = ? AND v.path = ? AND v.config = ?;

-- name: configs.has_uses
SELECT 1 FROM config_uses u WHERE u.family = ? LIMIT 1;

-- name: configs.used
SELECT j.value FROM json_each(?) j WHERE EXISTS (SELECT 1 FROM config_uses u WHERE u.config = j.value);

-- name: configs.newest_uses
SELECT u.number, u.run FROM config_uses u
WHERE u.config = ?1 AND u.number < ?2
  AND (?3 IS NULL OR u.tract = ?3) AND (?4 IS NULL OR u.run IN (SELECT j.value FROM json_each(?4) j))
ORDER BY u.number DESC LIMIT ?5;

-- name: configs.oldest_uses
SELECT u.number, u.run FROM config_uses u
WHERE u.config = ?1 AND u.number > ?2
  AND (?3 IS NULL OR u.tract = ?3) AND (?4 IS NULL OR u.run IN (SELECT j.value FROM json_each(?4) j))
ORDER BY u.number LIMIT ?5;

-- name: configs.newest_used
SELECT u.number, u.run, u.config FROM config_uses u
WHERE u.family = ?1 AND u.number < ?2
  AND (?3 IS NULL OR u.tract = ?3) AND (?4 IS NULL OR u.run IN (SELECT j.value FROM json_each(?4) j))
ORDER BY u.number DESC LIMIT ?5;

-- name: configs.oldest_used
SELECT u.number, u.run, u.config FROM config_uses u
WHERE u.family = ?1 AND u.number > ?2
  AND (?3 IS NULL OR u.tract = ?3) AND (?4 IS NULL OR u.run IN (SELECT j.value FROM json_each(?4) j))
ORDER BY u.number LIMIT ?5;

-- Commits of a run between two numbers, neither included, with their configs. A
-- CROSS JOIN keeps its tables in order: no other commits are read. A config that
-- stands under a later number was gone when this commit was taken in.
-- name: configs.newest_in_run
SELECT c.number, s.number FROM commits c CROSS JOIN config_sets s
WHERE c.run = ?2 AND c.number > ?3 AND c.number < ?4 AND s.family = ?1 AND s.blob = c.config AND s.number <= c.number
ORDER BY c.number DESC LIMIT ?5;

-- name: configs.oldest_in_run
SELECT c.number, s.number FROM commits c CROSS JOIN config_sets s
WHERE c.run = ?2 AND c.number > ?3 AND c.number < ?4 AND s.family = ?1 AND s.blob = c.config AND s.number <= c.number
ORDER BY c.number LIMIT ?5;

-- name: configs.values
SELECT v.config, v.value FROM json_each(?3) j CROSS JOIN config_values v
WHERE v.family = ?1 AND v.path = ?2 AND v.config = j.value;
