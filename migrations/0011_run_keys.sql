-- Version 11: a schedule names the run of a slot, so that it is made once, whoever is launched at once.

-- The run key; null: none was given. The run's first event has it as well.
ALTER TABLE run ADD COLUMN run_key TEXT;
CREATE UNIQUE INDEX run_of_key ON run (run_key) WHERE run_key IS NOT NULL;

DROP VIEW v_run;
CREATE VIEW v_run AS
SELECT run.id AS run, run.plan_path, run.plan_digest, run.n_rows, run.endpoint, run.account,
       run.launches, run.running, run.pid, run.host, run.exit_code, run.exit_name, run.exit_reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.started_at / 1000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.ended_at / 1000.0, 'unixepoch') AS ended_at,
       (SELECT count(*) FROM row WHERE row.run = run.run AND row.on_target) AS on_target,
       (SELECT count(*) FROM row WHERE row.run = run.run AND row.verdict IS NULL) AS unsettled,
       run.run_key
FROM run;
