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
