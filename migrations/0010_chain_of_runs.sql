-- Version 10: runs are chained, a journal has an identity of its own, and what is on target is computed once.

-- What the journal as a whole is. The first event of each run repeats id and n_earlier, and names the runs before it.
CREATE TABLE journal (
    journal   INTEGER PRIMARY KEY CHECK (journal = 1),
    id        TEXT    NOT NULL,                        -- given once, at random; copies keep it
    n_runs    INTEGER NOT NULL,                        -- made in it so far: their numbers are 1 to this
    n_earlier INTEGER NOT NULL,                        -- of these, made by versions that did not chain them
    excerpt   INTEGER NOT NULL DEFAULT 0 CHECK (excerpt IN (0, 1))   -- 1: a copy that leaves other runs out
) STRICT;
INSERT INTO journal (journal, id, n_runs, n_earlier)
    SELECT 1, lower(hex(randomblob(16))), coalesce(max(run), 0), coalesce(max(run), 0) FROM run;

DROP VIEW v_row;
DROP VIEW v_run;
DROP VIEW v_lane;
DROP VIEW v_attempt;

-- 1: on target. Accepted and not proven counts where nobody wanted a proof. Written with the verdict, by whom it is computed.
ALTER TABLE row ADD COLUMN on_target INTEGER NOT NULL DEFAULT 0 CHECK (on_target IN (0, 1));
UPDATE row SET on_target = 1
WHERE verdict IN ('applied', 'already') OR (verdict = 'unverified' AND ground = 'not_verified');

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
       row.canary, row.sealed_copystate, row.sealed_migrationcycle, row.moved_copystate, row.moved_migrationcycle,
       row.file, row.on_target, row.ground
FROM row JOIN run USING (run);

CREATE VIEW v_run AS
SELECT run.id AS run, run.plan_path, run.plan_digest, run.n_rows, run.endpoint, run.account,
       run.launches, run.running, run.pid, run.host, run.exit_code, run.exit_name, run.exit_reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.started_at / 1000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.ended_at / 1000.0, 'unixepoch') AS ended_at,
       (SELECT count(*) FROM row WHERE row.run = run.run AND row.on_target) AS on_target,
       (SELECT count(*) FROM row WHERE row.run = run.run AND row.verdict IS NULL) AS unsettled
FROM run;

CREATE VIEW v_lane AS
SELECT run.id AS run, lane.lane, lane.name, lane.endpoint, lane.account, lane.throttled, lane.per_second, lane.stated,
       lane.stopped,
       (SELECT count(*) FROM row WHERE row.run = lane.run AND row.lane = lane.lane) AS n_rows,
       (SELECT count(*) FROM row WHERE row.run = lane.run AND row.lane = lane.lane AND row.on_target) AS on_target,
       (SELECT count(*) FROM row WHERE row.run = lane.run AND row.lane = lane.lane AND row.verdict IS NULL) AS unsettled
FROM lane JOIN run USING (run)
WHERE lane.lane > 0;

-- A gateway throttles with other statuses than 429 too, and then the event has it.
CREATE VIEW v_attempt AS
SELECT run.id AS run,
       began.row, row.source_id,
       json_extract(began.detail, '$.attempt') AS attempt,
       json_extract(began.detail, '$.sends.copystate') AS sent_copystate,
       json_extract(began.detail, '$.sends.migrationcycle') AS sent_migrationcycle,
       strftime('%Y-%m-%dT%H:%M:%fZ', began.at / 1000.0, 'unixepoch') AS intent_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', ended.at / 1000.0, 'unixepoch') AS ended_at,
       json_extract(ended.detail, '$.outcome.is') AS outcome,
       coalesce(json_extract(ended.detail, '$.outcome.status'),
                CASE json_extract(ended.detail, '$.outcome.is') WHEN 'throttled' THEN 429 END) AS http_status,
       json_extract(ended.detail, '$.outcome.code') AS error_code,
       coalesce(json_extract(ended.detail, '$.outcome.message'), json_extract(ended.detail, '$.outcome.cause')) AS error_msg,
       json_extract(ended.detail, '$.request_id') AS request_id,
       json_extract(ended.detail, '$.took_ms') AS took_ms
FROM run
CROSS JOIN event AS began ON began.run = run.run
CROSS JOIN row ON row.run = began.run AND row.row = began.row
LEFT JOIN event AS ended INDEXED BY event_row
       ON ended.run = began.run AND ended.row = began.row AND ended.kind = 'attempt_ended'
      AND json_extract(ended.detail, '$.attempt') = json_extract(began.detail, '$.attempt')
WHERE began.kind = 'attempt_started';
