-- Version 1: the log, who may write to it, the remembered answers and the projections.
-- A migration that was released is never edited: add the next number.

-- One row; `crc` is the CRC-32 of what an append relies on. `needs_cxo` is what an older cxo shows when it refuses a newer schema, so this table
-- keeps its name and that column for ever.
CREATE TABLE store (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    needs_cxo       TEXT    NOT NULL,
    last_seq        INTEGER NOT NULL,
    lease_epoch     INTEGER NOT NULL,
    lease_holder    TEXT    NOT NULL,
    lease_taken_at  INTEGER NOT NULL,
    answers         INTEGER NOT NULL,
    crc             INTEGER NOT NULL
) STRICT;

-- The truth. `run` is '' for the events of the repository itself; `position` counts from 1 without
-- gaps in each stream; `crc` is the CRC-32 of all other columns.
CREATE TABLE events (
    seq       INTEGER PRIMARY KEY,
    run       TEXT    NOT NULL,
    position  INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    kind      TEXT    NOT NULL,
    body      TEXT    NOT NULL,
    crc       INTEGER NOT NULL
) STRICT;
CREATE INDEX events_by_run ON events (run);

-- How many events each stream has, so that a missing one is noticed.
CREATE TABLE streams (
    run       TEXT    PRIMARY KEY,
    events    INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE answers (
    principal   TEXT    NOT NULL,
    method      TEXT    NOT NULL,
    idem_key    TEXT    NOT NULL,
    body_hash   TEXT    NOT NULL,
    answer      TEXT    NOT NULL,
    expires_at  INTEGER NOT NULL,
    crc         INTEGER NOT NULL,
    PRIMARY KEY (principal, method, idem_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    run            TEXT    PRIMARY KEY,
    title          TEXT    NOT NULL,
    goal           TEXT    NOT NULL,
    state          TEXT    NOT NULL,
    agent          TEXT,
    base           TEXT,
    base_commit    TEXT,
    result_branch  TEXT,
    result_commit  TEXT,
    created_at     INTEGER NOT NULL,
    ended_at       INTEGER,
    error          TEXT
) STRICT;
CREATE INDEX runs_by_age ON runs (created_at DESC, run DESC);

-- What belongs to a run lies together in one tree, and a row in one page of it: a change writes that
-- page and no index.
CREATE TABLE tasks (
    run         TEXT    NOT NULL,
    task        TEXT    NOT NULL,
    position    INTEGER NOT NULL,
    title       TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    reason      TEXT,
    depends_on  TEXT    NOT NULL,
    agent       TEXT,
    attempts    INTEGER NOT NULL,
    started_at  INTEGER,
    ended_at    INTEGER,
    commit_id   TEXT,
    tree_id     TEXT,
    error       TEXT,
    PRIMARY KEY (run, task)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
    attempt     TEXT    NOT NULL,
    run         TEXT    NOT NULL,
    task        TEXT,
    number      INTEGER NOT NULL,
    purpose     TEXT    NOT NULL,
    agent       TEXT    NOT NULL,
    model       TEXT,
    state       TEXT    NOT NULL,
    thread      TEXT,
    workspace   TEXT,
    log         TEXT,
    started_at  INTEGER,
    ended_at    INTEGER,
    exit_code   INTEGER,
    signal      INTEGER,
    commit_id   TEXT,
    tree_id     TEXT,
    summary     TEXT,
    error       TEXT,
    PRIMARY KEY (run, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage (
    attempt              TEXT    NOT NULL,
    run                  TEXT    NOT NULL,
    task                 TEXT,
    agent                TEXT    NOT NULL,
    model                TEXT,
    input_tokens         INTEGER NOT NULL,
    cached_input_tokens  INTEGER NOT NULL,
    output_tokens        INTEGER NOT NULL,
    reasoning_tokens     INTEGER NOT NULL,
    counted_at           INTEGER NOT NULL,
    PRIMARY KEY (run, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE questions (
    question  TEXT    NOT NULL,
    run       TEXT    NOT NULL,
    task      TEXT,
    state     TEXT    NOT NULL,
    text      TEXT    NOT NULL,
    choices   TEXT    NOT NULL,
    asked_at  INTEGER NOT NULL,
    ended_at  INTEGER,
    answer    TEXT,
    PRIMARY KEY (run, question)
) STRICT, WITHOUT ROWID;

CREATE TABLE landings (
    landing        TEXT    NOT NULL,
    run            TEXT    NOT NULL,
    task           TEXT    NOT NULL,
    state          TEXT    NOT NULL,
    source_commit  TEXT,
    target_commit  TEXT,
    commit_id      TEXT,
    tree_id        TEXT,
    receipt        TEXT,
    queued_at      INTEGER NOT NULL,
    ended_at       INTEGER,
    error          TEXT,
    PRIMARY KEY (run, landing)
) STRICT, WITHOUT ROWID;

-- For people: the same with dates, and what belongs together side by side.
CREATE VIEW run_list AS
SELECT run, state, title,
       (SELECT count(*) FROM tasks t WHERE t.run = r.run) AS tasks,
       strftime('%Y-%m-%dT%H:%M:%SZ', created_at / 1000, 'unixepoch') AS created,
       strftime('%Y-%m-%dT%H:%M:%SZ', ended_at / 1000, 'unixepoch') AS ended,
       result_branch, result_commit, error
FROM runs r ORDER BY created_at DESC, run DESC;

CREATE VIEW task_list AS
SELECT run, task, state, title, reason, agent, attempts,
       strftime('%Y-%m-%dT%H:%M:%SZ', started_at / 1000, 'unixepoch') AS started,
       strftime('%Y-%m-%dT%H:%M:%SZ', ended_at / 1000, 'unixepoch') AS ended,
       (ended_at - started_at) / 1000.0 AS seconds,
       commit_id, error
FROM tasks ORDER BY run, position, task;

-- What agents came back with: ended attempts.
CREATE VIEW results AS
SELECT a.run, a.task, a.attempt, a.purpose, a.agent, a.state, a.exit_code, a.signal,
       strftime('%Y-%m-%dT%H:%M:%SZ', a.started_at / 1000, 'unixepoch') AS started,
       strftime('%Y-%m-%dT%H:%M:%SZ', a.ended_at / 1000, 'unixepoch') AS ended,
       a.commit_id, a.tree_id, a.summary, a.error, a.log, a.thread,
       u.input_tokens, u.output_tokens
FROM attempts a LEFT JOIN usage u ON u.run = a.run AND u.attempt = a.attempt
WHERE a.ended_at IS NOT NULL ORDER BY a.ended_at, a.attempt;

CREATE VIEW landing_list AS
SELECT landing, run, task, state,
       strftime('%Y-%m-%dT%H:%M:%SZ', queued_at / 1000, 'unixepoch') AS queued,
       strftime('%Y-%m-%dT%H:%M:%SZ', ended_at / 1000, 'unixepoch') AS ended,
       commit_id, tree_id, error
FROM landings ORDER BY queued_at, landing;

CREATE VIEW open_questions AS
SELECT question, run, task, text, choices,
       strftime('%Y-%m-%dT%H:%M:%SZ', asked_at / 1000, 'unixepoch') AS asked
FROM questions WHERE ended_at IS NULL ORDER BY asked_at, question;

CREATE VIEW event_list AS
SELECT seq, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS happened, run, kind, body
FROM events ORDER BY seq;

-- What each stage of a run was given and made, under names that do not change with the events'.
CREATE VIEW artifacts AS
SELECT seq, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS made, run,
       body ->> 'task' AS task,
       CASE
           WHEN kind = 'base.checked' THEN 'analysis'
           WHEN kind = 'plan.proposed' THEN 'plan'
           WHEN kind IN ('plan.requested', 'plan.refused', 'plan.parked') THEN 'plan_progress'
           WHEN kind = 'attempt.ended' THEN 'subtask_result'
           WHEN kind = 'landing.started' THEN 'merge_input'
           WHEN kind IN ('landing.merged', 'landing.checked') THEN 'merge_progress'
           WHEN body -> 'end' ->> 'kind' IN ('resolved', 'held') THEN 'merge_progress'
           WHEN kind IN ('task.merged', 'result.published') THEN 'merge_result'
           ELSE 'merge_error'
       END AS kind,
       body
FROM events
WHERE kind IN ('base.checked', 'plan.requested', 'plan.refused', 'plan.parked', 'plan.proposed',
               'attempt.ended', 'landing.started', 'landing.merged', 'landing.checked',
               'task.merged', 'result.published', 'landing.conflicted', 'landing.ended')
ORDER BY seq;
