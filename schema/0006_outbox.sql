-- The outbox: what has happened and is to be told to webhooks. A row is written in the transaction
-- of the change that it tells of, so it is there exactly when the change is.
--
-- One row can be several events: a push that set several tags, a manifest that went with all its
-- tags. Nothing is written for each webhook but how far it has come.

-- A change, in the order in which changes happened.
CREATE TABLE outbox (
    -- Never used twice.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- When it happened.
    at INTEGER NOT NULL,
    -- Random: what the ids of its events are made of, beside the time.
    salt INTEGER NOT NULL,
    -- 1 push, 2 mount, 3 delete.
    action INTEGER NOT NULL CHECK (action IN (1, 2, 3)),
    -- What it was done to: 1 a blob, 2 a manifest with the tags, 3 the tags alone, 4 the repository.
    target INTEGER NOT NULL CHECK (target IN (1, 2, 3, 4)),
    -- The repository's name: this outlives its row.
    repository TEXT NOT NULL,
    -- The repository that a blob was mounted from; NULL for all else.
    from_repository TEXT,
    -- The blob or the manifest; NULL where it is neither.
    digest BLOB,
    -- Its length; NULL where it went.
    size INTEGER,
    -- The manifest's media type; NULL where it went, and for a blob.
    media_type TEXT,
    -- The tags that were set or that went, a line each; NULL for none.
    tags TEXT,
    -- What the manifest refers to, a list of descriptors in JSON; NULL when no webhook asks for it.
    refers_to TEXT,
    -- Who did it; NULL when nobody was logged in.
    actor TEXT,
    -- The request that did it, an object in JSON; NULL when it was none.
    request TEXT
) STRICT;

-- How far each webhook has come.
CREATE TABLE outbox_endpoint (
    -- Internal.
    id INTEGER PRIMARY KEY,
    -- Its name in the configuration.
    name TEXT NOT NULL UNIQUE,
    -- The last row of the outbox that it is done with.
    position INTEGER NOT NULL,
    -- How many events of the row behind that one it has got already.
    part INTEGER NOT NULL,
    -- The same for the rows that are sent once more; NULL when none are.
    replay_position INTEGER,
    -- Events of the row behind that one.
    replay_part INTEGER NOT NULL DEFAULT 0,
    -- The last row that is sent once more; NULL when none are.
    replay_until INTEGER,
    -- Events that it has got.
    delivered INTEGER NOT NULL DEFAULT 0,
    -- Events that it will never get: they became too old or too many, or were purged.
    dropped INTEGER NOT NULL DEFAULT 0,
    -- Attempts that failed.
    failed INTEGER NOT NULL DEFAULT 0,
    -- When it last got something; NULL for never.
    delivered_at INTEGER
) STRICT;
