-- Version 13: what became of notices.

-- One line for each notice and receiver, written when it was delivered or given up. In no chain: the notice about the end of a launch
-- carries the run's anchor, so that its outcome comes after all that the anchor covers. No evidence rests on this table.
CREATE TABLE notice (
    notice   INTEGER PRIMARY KEY AUTOINCREMENT,        -- never used again
    run      INTEGER NOT NULL REFERENCES run (run),
    launch   INTEGER NOT NULL,                         -- number of the launch, from 1
    at       INTEGER NOT NULL,                         -- milliseconds since 1970
    receiver TEXT    NOT NULL,                         -- its name in the settings
    about    TEXT    NOT NULL CHECK (about IN ('start', 'waiting', 'halt', 'end')),
    tries    INTEGER NOT NULL,
    problem  TEXT                                      -- of the last try; null: it was delivered
) STRICT;

CREATE INDEX notice_undelivered ON notice (run, notice) WHERE problem IS NOT NULL;

CREATE TRIGGER notice_is_never_changed BEFORE UPDATE ON notice
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: the outcome of a notice is never changed');
END;

CREATE TRIGGER notice_is_never_removed BEFORE DELETE ON notice
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: the outcome of a notice is never removed');
END;

CREATE VIEW v_notice AS
SELECT run.id AS run, notice.launch,
       strftime('%Y-%m-%dT%H:%M:%fZ', notice.at / 1000.0, 'unixepoch') AS at,
       notice.receiver, notice.about, notice.tries, notice.problem IS NULL AS delivered, notice.problem
FROM notice JOIN run USING (run);
