-- Version 2: a run may carry several accounts, each in a lane of its own.

-- Where the lane's requests go, and whose quota they use. Null for the run's own lane.
ALTER TABLE lane ADD COLUMN endpoint TEXT;
ALTER TABLE lane ADD COLUMN account  TEXT;
UPDATE lane SET (endpoint, account) = (SELECT endpoint, account FROM run WHERE run.run = lane.run) WHERE lane > 0;

-- What is left to do, in the order in which each lane does it.
DROP INDEX row_open;
CREATE INDEX row_open ON row (run, lane, wave_no, row) WHERE verdict IS NULL;

CREATE VIEW v_lane AS
SELECT run.id AS run, lane.lane, lane.name, lane.endpoint, lane.account, lane.throttled, lane.per_second, lane.stated,
       lane.stopped,
       (SELECT count(*) FROM row WHERE row.run = lane.run AND row.lane = lane.lane) AS n_rows,
       (SELECT count(*) FROM row WHERE row.run = lane.run AND row.lane = lane.lane
                                   AND row.verdict IN ('applied', 'already')) AS on_target,
       (SELECT count(*) FROM row WHERE row.run = lane.run AND row.lane = lane.lane AND row.verdict IS NULL) AS unsettled
FROM lane JOIN run USING (run)
WHERE lane.lane > 0;
