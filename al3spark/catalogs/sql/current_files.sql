-- current_files: one row for each content that is committed and that some path still holds.
-- There is at most one row for each file_id, hence for each pair of job_id and file_id, on which to join.
-- What a path holds is the content of the newest of its rows that succeeded or were skipped as duplicate_of: a
-- version that failed, or whose plan is not published, leaves the one before it current. What some path holds is
-- current, in the newest of its ingests that succeeded, unless a later row replaces it (names its file_id: a plan
-- removed its rows). Places break the ties of rows that a crash or a compaction shows twice.
WITH versions AS (
    SELECT
        f.file_id,
        ROW_NUMBER() OVER (PARTITION BY f.file_path ORDER BY f.finished_at DESC, f.job_id DESC) AS place
    FROM files AS f
    WHERE f.status LIKE 'succeeded%' OR f.duplicate_of IS NOT NULL
),
replaced AS (
    SELECT f.replaces AS file_id, MAX(f.finished_at) AS replaced_at
    FROM files AS f
    WHERE f.replaces IS NOT NULL
    GROUP BY f.replaces
),
committed AS (
    SELECT
        f.job_id, f.file_path, f.file_id, f.status, f.reason, f.duplicate_of, f.replaces, f.archived_to,
        f.size, f.version, f.expanded_size, f.record_bytes, f.separator_bytes, f.unreadable_bytes,
        f.messages, f.transactions, f.records, f.faults, f.started_at, f.finished_at, f.attempts,
        ROW_NUMBER() OVER (PARTITION BY f.file_id ORDER BY f.finished_at DESC, f.job_id DESC) AS place
    FROM files AS f
    WHERE f.status LIKE 'succeeded%'
)
SELECT
    c.job_id, c.file_path, c.file_id, c.status, c.reason, c.duplicate_of, c.replaces, c.archived_to,
    c.size, c.version, c.expanded_size, c.record_bytes, c.separator_bytes, c.unreadable_bytes,
    c.messages, c.transactions, c.records, c.faults, c.started_at, c.finished_at, c.attempts
FROM committed AS c
LEFT JOIN replaced AS r ON r.file_id = c.file_id
WHERE c.place = 1
    AND (r.replaced_at IS NULL OR r.replaced_at <= c.finished_at)
    AND c.file_id IN (SELECT v.file_id FROM versions AS v WHERE v.place = 1)
