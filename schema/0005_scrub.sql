-- The scrub: how far the re-reading of all blobs has come, and which of them it found damaged.

-- The state of the scrub, one row.
CREATE TABLE scrub (
    -- There is one row.
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- When the round that is under way began, or else the last one; NULL before the first.
    began_at INTEGER,
    -- 1 while a round is under way, also over restarts.
    running INTEGER NOT NULL CHECK (running IN (0, 1)),
    -- The last blob that the round has read; NULL at its beginning.
    position BLOB,
    -- Blobs that the round has read.
    blobs INTEGER NOT NULL,
    -- Bytes that it has read.
    bytes INTEGER NOT NULL,
    -- Blobs that it found damaged.
    found INTEGER NOT NULL,
    -- When the last whole round ended; NULL before the first.
    ended_at INTEGER,
    -- Blobs that the last whole round had read.
    ended_blobs INTEGER NOT NULL,
    -- Bytes that it had read.
    ended_bytes INTEGER NOT NULL,
    -- Blobs that it had found damaged.
    ended_found INTEGER NOT NULL
) STRICT;

INSERT INTO scrub (id, running, blobs, bytes, found, ended_blobs, ended_bytes, ended_found)
VALUES (1, 0, 0, 0, 0, 0, 0, 0);

-- Blobs that the scrub took out of service and that were not pushed again since.
CREATE TABLE scrub_finding (
    -- The blob; its removal ends the finding.
    digest BLOB NOT NULL PRIMARY KEY REFERENCES blob (digest) ON DELETE CASCADE,
    -- When it was found.
    found_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A blob that is back in service is healed.
CREATE TRIGGER blob_healed AFTER UPDATE OF quarantined ON blob WHEN new.quarantined = 0 BEGIN
    DELETE FROM scrub_finding WHERE digest = new.digest;
END;
