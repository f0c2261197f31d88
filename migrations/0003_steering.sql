-- Version 3: waves with a canary, commands from other terminals, sealed plans, and what others moved.

-- 1: goes before the rest of its wave.
ALTER TABLE row ADD COLUMN canary                INTEGER NOT NULL DEFAULT 0 CHECK (canary IN (0, 1));
-- Where the sealed plan saw it.
ALTER TABLE row ADD COLUMN sealed_copystate      TEXT;
ALTER TABLE row ADD COLUMN sealed_migrationcycle TEXT;
-- Where a read that was made for others showed it last, if we did not put it there.
ALTER TABLE row ADD COLUMN moved_copystate       TEXT;
ALTER TABLE row ADD COLUMN moved_migrationcycle  TEXT;

CREATE INDEX row_moved ON row (run, row) WHERE moved_copystate IS NOT NULL OR moved_migrationcycle IS NOT NULL;

-- What is left to do, in the order in which each lane does it.
DROP INDEX row_open;
CREATE INDEX row_open ON row (run, lane, wave_no, canary, row) WHERE verdict IS NULL;

-- Commands to the launch that carries a run. They are put here by anybody who can write the file, taken by that launch,
-- and stand in its chain as events from then on.
CREATE TABLE control (
    control  INTEGER PRIMARY KEY AUTOINCREMENT,        -- never used again
    run      INTEGER NOT NULL REFERENCES run (run),
    at       INTEGER NOT NULL,
    command  TEXT    NOT NULL CHECK (json_valid(command)),
    given_by TEXT    NOT NULL CHECK (json_valid(given_by)),   -- user, host, reason
    taken_at INTEGER                                    -- null: not yet
) STRICT;

CREATE INDEX control_open ON control (run, control) WHERE taken_at IS NULL;

-- Who steered what when.
CREATE VIEW v_control AS
SELECT run.id AS run,
       strftime('%Y-%m-%dT%H:%M:%fZ', event.at / 1000.0, 'unixepoch') AS at,
       json_extract(event.detail, '$.command.is') AS command,
       json_extract(event.detail, '$.command') AS detail,
       json_extract(event.detail, '$.by.user') AS user,
       json_extract(event.detail, '$.by.host') AS host,
       json_extract(event.detail, '$.by.reason') AS reason,
       json_extract(event.detail, '$.by.via') AS via
FROM event JOIN run USING (run)
WHERE event.lane = 0 AND event.kind = 'controlled';

DROP VIEW v_row;
CREATE VIEW v_row AS
SELECT run.id AS run,
       row.row, row.line, row.source_id, row.copystate, row.migrationcycle,
       row.expect_copystate, row.expect_migrationcycle,
       coalesce(row.verdict, CASE WHEN row.standing IN ('open', 'in_doubt', 'accepted') THEN 'in_doubt' ELSE 'pending' END) AS verdict,
       row.reason,
       row.before_copystate, row.before_migrationcycle, row.after_copystate, row.after_migrationcycle,
       row.attempts, row.throttled, row.http_status, row.error_code, row.error_msg, row.request_id,
       row.wave, row.target, row.name, row.note, row.extra,
       strftime('%Y-%m-%dT%H:%M:%fZ', row.first_sent_at / 1000.0, 'unixepoch') AS first_sent_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', row.settled_at / 1000.0, 'unixepoch') AS settled_at,
       row.canary, row.sealed_copystate, row.sealed_migrationcycle, row.moved_copystate, row.moved_migrationcycle
FROM row JOIN run USING (run);
