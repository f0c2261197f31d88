-- Version 12: runs that were taken out of the journal, each with a tombstone in its place in the chain of runs.

ALTER TABLE journal ADD COLUMN n_pruned    INTEGER NOT NULL DEFAULT 0;   -- of its runs, taken out so far
ALTER TABLE journal ADD COLUMN pruned_head BLOB;                         -- hash of the last tombstone; null: there is none

-- A run that was archived as a bundle of evidence and taken out. Tombstones are chained in the order in which they were made, and
-- each new run names the last one: hash = sha256 of the text  hex(prev) LF tombstone LF detail LF
-- and the first one has  prev = sha256 of the text  "cutover.tombstones.v1" LF journal.id LF.
CREATE TABLE tombstone (
    tombstone INTEGER PRIMARY KEY,                     -- from 1, without a gap
    run       INTEGER NOT NULL UNIQUE,                 -- the run's number: no other run gets it
    id        TEXT    NOT NULL UNIQUE,                 -- the run's id
    run_key   TEXT    UNIQUE,                          -- its run key, which stays used; null: it had none
    quotas    TEXT CHECK (quotas IS NULL OR json_valid(quotas)),   -- the last to be learned of an account, if that was in this run
    detail    TEXT    NOT NULL CHECK (json_valid(detail)),
    prev      BLOB    NOT NULL CHECK (length(prev) = 32),
    hash      BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE INDEX tombstone_quota ON tombstone (tombstone) WHERE quotas IS NOT NULL;

CREATE TRIGGER tombstone_is_never_changed BEFORE UPDATE ON tombstone
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: a tombstone is never changed');
END;

CREATE TRIGGER tombstone_is_never_removed BEFORE DELETE ON tombstone
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: a tombstone is never removed');
END;
