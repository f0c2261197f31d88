-- Version 9: the fact that a verdict rests on is stored, and no sentence is read for it. A generated column is computed with each
-- change of its row, so that what is on target is an expression of the views.

DROP VIEW v_row;
DROP VIEW v_run;
DROP VIEW v_lane;
ALTER TABLE row DROP COLUMN on_target;

-- The fact that a verdict rests on, where more than the verdict decides what is to be done about the row:
-- unknown_source, not_as_expected, ignores_updates, unsayable, skipped, not_verified, unseen, never_shown; null where the
-- verdict says it all. Of verdicts that earlier versions recorded, as those worded their reasons.
ALTER TABLE row ADD COLUMN ground TEXT;
UPDATE row SET ground = CASE
    WHEN verdict = 'blocked' AND substr(reason, 1, 11) = 'skipped by ' THEN 'skipped'
    WHEN verdict = 'blocked' AND reason = 'the service does not know this source' THEN 'unknown_source'
    WHEN verdict = 'blocked' AND substr(reason, 1, 17) = 'the plan expects ' THEN 'not_as_expected'
    WHEN verdict = 'blocked' AND substr(reason, -35) = 'answers success and changes nothing' THEN 'ignores_updates'
    WHEN verdict = 'unverified' AND reason = 'verification is switched off' THEN 'not_verified'
    WHEN verdict = 'unverified' AND substr(reason, 1, 17) = 'no look succeeded' THEN 'unseen'
    WHEN verdict = 'unverified' AND substr(reason, 1, 17) = 'reads never show ' THEN 'never_shown' END
WHERE verdict IN ('blocked', 'unverified');

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
       row.file,
       coalesce(row.verdict IN ('applied', 'already') OR (row.verdict = 'unverified' AND row.ground = 'not_verified'), 0)
           AS on_target,
       row.ground
FROM row JOIN run USING (run);

CREATE VIEW v_run AS
SELECT run.id AS run, run.plan_path, run.plan_digest, run.n_rows, run.endpoint, run.account,
       run.launches, run.running, run.pid, run.host, run.exit_code, run.exit_name, run.exit_reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.started_at / 1000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.ended_at / 1000.0, 'unixepoch') AS ended_at,
       (SELECT count(*) FROM row WHERE row.run = run.run
            AND (row.verdict IN ('applied', 'already') OR (row.verdict = 'unverified' AND row.ground = 'not_verified'))) AS on_target,
       (SELECT count(*) FROM row WHERE row.run = run.run AND row.verdict IS NULL) AS unsettled
FROM run;

CREATE VIEW v_lane AS
SELECT run.id AS run, lane.lane, lane.name, lane.endpoint, lane.account, lane.throttled, lane.per_second, lane.stated,
       lane.stopped,
       (SELECT count(*) FROM row WHERE row.run = lane.run AND row.lane = lane.lane) AS n_rows,
       (SELECT count(*) FROM row WHERE row.run = lane.run AND row.lane = lane.lane
            AND (row.verdict IN ('applied', 'already') OR (row.verdict = 'unverified' AND row.ground = 'not_verified'))) AS on_target,
       (SELECT count(*) FROM row WHERE row.run = lane.run AND row.lane = lane.lane AND row.verdict IS NULL) AS unsettled
FROM lane JOIN run USING (run)
WHERE lane.lane > 0;
