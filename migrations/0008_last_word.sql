-- Version 8: what the service said last of a row is a part of its sum.

-- `yes` or `no`: the service's own last word on a change of the row; null: nothing was sent, or what came back last was no word
-- of the service about it.
ALTER TABLE row ADD COLUMN last_word TEXT;
UPDATE row SET last_word =
    (SELECT CASE outcome WHEN 'accepted' THEN 'yes' WHEN 'rejected' THEN 'no' END
     FROM (SELECT seq, iif(json_valid(detail), json_extract(detail, '$.outcome.is'), '') AS outcome FROM event
           WHERE event.run = row.run AND event.row = row.row AND kind = 'attempt_ended')
     WHERE outcome NOT IN ('throttled', 'unsent')
     ORDER BY seq DESC LIMIT 1)
WHERE started > 0;
