-- Version 2: the work graph, for people. The truth about it is in the events of the repository.
-- A migration that was released is never edited: add the next number.

CREATE TABLE nodes (
    node              INTEGER PRIMARY KEY,
    level             TEXT    NOT NULL,
    parent            INTEGER,
    title             TEXT    NOT NULL,
    status            TEXT    NOT NULL,
    priority          INTEGER NOT NULL,
    waits_for         TEXT    NOT NULL,
    held_by           TEXT,
    fence             INTEGER,
    held_until        INTEGER,
    approval          TEXT    NOT NULL,
    merged_commit     TEXT,
    summary           TEXT,
    facet             TEXT,
    risk              TEXT,
    token_estimate    INTEGER,
    affected_files    TEXT    NOT NULL,
    owner_session     TEXT,
    assignee_session  TEXT,
    created_by        TEXT    NOT NULL,
    created_at        INTEGER NOT NULL,
    changed_at        INTEGER NOT NULL
) STRICT;

CREATE TABLE checkpoints (
    node            INTEGER NOT NULL,
    number          INTEGER NOT NULL,
    session         TEXT    NOT NULL,
    fence           INTEGER NOT NULL,
    reached         TEXT    NOT NULL,
    step            INTEGER,
    result          TEXT,
    summary         TEXT,
    next_action     TEXT,
    artifacts       TEXT    NOT NULL,
    required_files  TEXT    NOT NULL,
    written_at      INTEGER NOT NULL,
    PRIMARY KEY (node, number)
) STRICT, WITHOUT ROWID;

CREATE VIEW node_list AS
SELECT n.node, n.level, n.status, n.priority, n.title, n.parent, p.title AS parent_title, n.held_by,
       strftime('%Y-%m-%dT%H:%M:%SZ', n.created_at / 1000, 'unixepoch') AS created,
       strftime('%Y-%m-%dT%H:%M:%SZ', n.changed_at / 1000, 'unixepoch') AS changed
FROM nodes n LEFT JOIN nodes p ON p.node = n.parent ORDER BY n.node;

-- What waits for what, and whether it still has to.
CREATE VIEW edge_list AS
SELECT n.node AS waits, a.node AS awaits, e.value ->> 'edge_type' AS edge_type,
       e.value ->> 'mode' AS mode,
       CASE
           WHEN e.value ->> 'edge_type' = 'blocks' THEN a.status IN ('done', 'cancelled')
           WHEN e.value ->> 'mode' = 'after_merge' THEN a.status = 'done' AND a.merged_commit IS NOT NULL
           ELSE a.status = 'done'
       END AS met
FROM nodes n, json_each(n.waits_for) e JOIN nodes a ON a.node = e.value ->> 'node_id'
ORDER BY n.node, a.node;

-- The cases that can be taken, in the order in which they are.
CREATE VIEW ready_cases AS
WITH RECURSIVE waiting (node) AS (
    SELECT waits FROM edge_list WHERE NOT met
    UNION
    SELECT n.node FROM nodes n JOIN waiting w ON n.parent = w.node
)
SELECT node, status, priority, title FROM nodes
WHERE level = 'case' AND status IN ('in_progress', 'blocked', 'todo') AND held_by IS NULL
      AND node NOT IN (SELECT node FROM waiting)
ORDER BY CASE status WHEN 'in_progress' THEN 0 WHEN 'blocked' THEN 1 ELSE 2 END, priority DESC, node;

CREATE VIEW claim_list AS
SELECT node, title, held_by, fence,
       strftime('%Y-%m-%dT%H:%M:%SZ', held_until / 1000, 'unixepoch') AS until
FROM nodes WHERE held_by IS NOT NULL ORDER BY fence;

CREATE VIEW checkpoint_list AS
SELECT c.node, c.number, n.title, c.session, c.reached, s.title AS step_title, c.result, c.summary,
       c.next_action, strftime('%Y-%m-%dT%H:%M:%SZ', c.written_at / 1000, 'unixepoch') AS written
FROM checkpoints c JOIN nodes n ON n.node = c.node LEFT JOIN nodes s ON s.node = c.step
ORDER BY c.node, c.number;
