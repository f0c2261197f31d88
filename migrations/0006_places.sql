-- Version 6: where a row stands in its plan, and which rows are on target, said in one place.

-- The file of rows that it stands in; null: the plan itself, also where an older version kept no file.
ALTER TABLE row ADD COLUMN file      TEXT;
-- 1: on target. Accepted and not proven counts where verification was switched off.
ALTER TABLE row ADD COLUMN on_target INTEGER GENERATED ALWAYS AS (
    CASE verdict WHEN 'applied' THEN 1 WHEN 'already' THEN 1
                 WHEN 'unverified' THEN coalesce(reason, '') = 'verification is switched off'
                 ELSE 0 END) VIRTUAL;

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
       row.canary, row.sealed_copystate, row.sealed_migrationcycle, row.moved_copystate, row.moved_migrationcycle,
       row.file, row.on_target
FROM row JOIN run USING (run);

DROP VIEW v_run;
CREATE VIEW v_run AS
SELECT run.id AS run, run.plan_path, run.plan_digest, run.n_rows, run.endpoint, run.account,
       run.launches, run.running, run.pid, run.host, run.exit_code, run.exit_name, run.exit_reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.started_at / 1000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.ended_at / 1000.0, 'unixepoch') AS ended_at,
       (SELECT count(*) FROM row WHERE row.run = run.run AND row.on_target) AS on_target,
       (SELECT count(*) FROM row WHERE row.run = run.run AND row.verdict IS NULL) AS unsettled
FROM run;

DROP VIEW v_lane;
CREATE VIEW v_lane AS
SELECT run.id AS run, lane.lane, lane.name, lane.endpoint, lane.account, lane.throttled, lane.per_second, lane.stated,
       lane.stopped,
       (SELECT count(*) FROM row WHERE row.run = lane.run AND row.lane = lane.lane) AS n_rows,
       (SELECT count(*) FROM row WHERE row.run = lane.run AND row.lane = lane.lane AND row.on_target) AS on_target,
       (SELECT count(*) FROM row WHERE row.run = lane.run AND row.lane = lane.lane AND row.verdict IS NULL) AS unsettled
FROM lane JOIN run USING (run)
WHERE lane.lane > 0;
