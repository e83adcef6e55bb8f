-- Runs, newest last.  One row a run, and one for each stretch of nominal times
-- that never ran.  Times are seconds since the epoch, UTC.
CREATE TABLE IF NOT EXISTS runs (
    number       INTEGER PRIMARY KEY,   -- in the order they came to be
    run_id       TEXT NOT NULL UNIQUE,
    job          TEXT NOT NULL,
    nominal_time REAL NOT NULL,
    record       TEXT NOT NULL          -- the whole RunRecord as JSON
) STRICT;

CREATE INDEX IF NOT EXISTS runs_by_job ON runs (job, number);

-- Schedules as they were first made, so that a restart goes on with their grid.
CREATE TABLE IF NOT EXISTS schedules (
    job    TEXT PRIMARY KEY,
    timing TEXT NOT NULL,               -- the time part in words
    anchor TEXT NOT NULL                -- RFC 3339, UTC
) STRICT;
