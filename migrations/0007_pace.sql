-- Version 7: what was learned of a quota ages, and what a launch was told to wait outlives it.

ALTER TABLE lane ADD COLUMN learned_at   INTEGER;      -- when the quota was learned
ALTER TABLE lane ADD COLUMN cooled_until INTEGER;      -- the latest end of a wait that the service asked for (Retry-After)
UPDATE lane SET
    learned_at = (SELECT event.at FROM event
                  WHERE event.run = lane.run AND event.lane = lane.lane AND event.kind = 'quota_learned'
                  ORDER BY event.seq DESC LIMIT 1),
    cooled_until = (SELECT max(event.at + json_extract(event.detail, '$.outcome.retry_after_ms')) FROM event
                    WHERE event.run = lane.run AND event.lane = lane.lane AND event.kind = 'attempt_ended'
                      AND event.detail LIKE '%"retry_after_ms"%')
WHERE lane > 0;
