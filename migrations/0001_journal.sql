-- The journal of cutover, version 1. A public format: tables and views may be queried while a run is going on.
-- Times are milliseconds since 1970-01-01 UTC; the views show them as ISO 8601.

-- One plan carried to completion, over as many launches as it takes.
CREATE TABLE run (
    run         INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,               -- what people type
    plan_path   TEXT    NOT NULL,
    plan_digest TEXT    NOT NULL,                      -- sha256:…, over the normalised rows
    n_rows      INTEGER NOT NULL,
    endpoint    TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    settings    TEXT    NOT NULL CHECK (json_valid(settings)),
    created_at  INTEGER NOT NULL,
    -- The sum of the run's own lane.
    launches    INTEGER NOT NULL DEFAULT 0,
    running     INTEGER NOT NULL DEFAULT 0 CHECK (running IN (0, 1)),
    pid         INTEGER,
    host        TEXT,
    started_at  INTEGER,
    ended_at    INTEGER,
    elapsed_ms  INTEGER NOT NULL DEFAULT 0,            -- of all launches that ended by themselves
    exit_code   INTEGER,
    exit_name   TEXT,
    exit_reason TEXT
) STRICT;

-- The head of each chain. Lane 0 is the run's own; the others are one account at one endpoint each.
CREATE TABLE lane (
    run        INTEGER NOT NULL REFERENCES run (run),
    lane       INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    seq        INTEGER NOT NULL,                       -- of the last event
    head       BLOB    NOT NULL,                       -- its hash
    throttled  INTEGER NOT NULL DEFAULT 0,             -- reads that met the quota
    per_second REAL,                                   -- the quota learned
    stated     INTEGER,                                -- 1: the figure stood in the service's text
    stopped    TEXT,                                   -- why the last launch stopped this lane
    PRIMARY KEY (run, lane)
) STRICT, WITHOUT ROWID;

-- One row of the plan, and the sum of its events: written in the transaction of the event that changed it.
CREATE TABLE row (
    run                   INTEGER NOT NULL REFERENCES run (run),
    row                   INTEGER NOT NULL,            -- plan order, from 1
    lane                  INTEGER NOT NULL,
    wave_no               INTEGER NOT NULL,            -- order of first appearance, from 0
    -- The plan.
    line                  INTEGER NOT NULL,
    source_id             TEXT    NOT NULL,
    copystate             TEXT,
    migrationcycle        TEXT,
    expect_copystate      TEXT,
    expect_migrationcycle TEXT,
    wave                  TEXT,
    target                TEXT,
    name                  TEXT,
    note                  TEXT,
    extra                 TEXT CHECK (extra IS NULL OR json_valid(extra)),
    -- The sum of its events.
    standing              TEXT    NOT NULL DEFAULT 'untried'
        CHECK (standing IN ('untried', 'open', 'in_doubt', 'accepted', 'due', 'settled')),
    verdict               TEXT CHECK ((verdict IS NULL) = (standing <> 'settled')),
    started               INTEGER NOT NULL DEFAULT 0,  -- attempts recorded as begun
    attempts              INTEGER NOT NULL DEFAULT 0,  -- changes sent, throttled ones left out
    throttled             INTEGER NOT NULL DEFAULT 0,
    doubted               INTEGER NOT NULL DEFAULT 0,  -- an answer was lost: look before sending again
    looked                INTEGER NOT NULL DEFAULT 0,  -- a look came after the last attempt
    before_copystate      TEXT,
    before_migrationcycle TEXT,
    after_copystate       TEXT,
    after_migrationcycle  TEXT,
    http_status           INTEGER,
    error_code            TEXT,
    error_msg             TEXT,
    request_id            TEXT,
    first_sent_at         INTEGER,
    last_sent_at          INTEGER,
    settled_at            INTEGER,
    reason                TEXT,
    PRIMARY KEY (run, row)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX row_source ON row (run, source_id);
-- What is left to do, in the order in which it is done.
CREATE INDEX row_open ON row (run, wave_no, row) WHERE verdict IS NULL;

-- What happened, in order. Each event carries the hash of the one before it in its lane:
-- hash = sha256 of the text  hex(prev) LF lane LF seq LF at LF kind LF row (or nothing) LF detail LF
-- and the first event of a lane has  prev = sha256 of the text  "cutover.chain.v1" LF run.id LF lane LF.
CREATE TABLE event (
    run    INTEGER NOT NULL REFERENCES run (run),
    lane   INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    row    INTEGER,
    detail TEXT    NOT NULL CHECK (json_valid(detail)),
    prev   BLOB    NOT NULL CHECK (length(prev) = 32),
    hash   BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (run, lane, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX event_row ON event (run, row, seq) WHERE row IS NOT NULL;

CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: an event is never changed');
END;

CREATE TRIGGER event_is_never_removed BEFORE DELETE ON event
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: an event is never removed');
END;

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
       strftime('%Y-%m-%dT%H:%M:%fZ', row.settled_at / 1000.0, 'unixepoch') AS settled_at
FROM row JOIN run USING (run);

-- The order of the joins and the index are named: left alone, SQLite reads every event for each attempt.
CREATE VIEW v_attempt AS
SELECT run.id AS run,
       began.row, row.source_id,
       json_extract(began.detail, '$.attempt') AS attempt,
       json_extract(began.detail, '$.sends.copystate') AS sent_copystate,
       json_extract(began.detail, '$.sends.migrationcycle') AS sent_migrationcycle,
       strftime('%Y-%m-%dT%H:%M:%fZ', began.at / 1000.0, 'unixepoch') AS intent_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', ended.at / 1000.0, 'unixepoch') AS ended_at,
       json_extract(ended.detail, '$.outcome.is') AS outcome,
       CASE WHEN json_extract(ended.detail, '$.outcome.is') = 'throttled' THEN 429
            ELSE json_extract(ended.detail, '$.outcome.status') END AS http_status,
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

CREATE VIEW v_run AS
SELECT run.id AS run, run.plan_path, run.plan_digest, run.n_rows, run.endpoint, run.account,
       run.launches, run.running, run.pid, run.host, run.exit_code, run.exit_name, run.exit_reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.started_at / 1000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.ended_at / 1000.0, 'unixepoch') AS ended_at,
       (SELECT count(*) FROM row WHERE row.run = run.run AND row.verdict IN ('applied', 'already')) AS on_target,
       (SELECT count(*) FROM row WHERE row.run = run.run AND row.verdict IS NULL) AS unsettled
FROM run;
