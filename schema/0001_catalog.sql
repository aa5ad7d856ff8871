-- The catalog, version 1.
--
-- A digest is one blob: a byte for the algorithm (1 sha256, 2 sha512), then the raw digest (32 or
-- 64 bytes), so that digests sort by algorithm, then bytes. A time is milliseconds since 1970 UTC.
-- Text sorts by bytes (BINARY, the default collation). Lengths are in bytes.
--
-- A released schema file is never edited: a change is a new file.

-- A named collection of manifests, tags and blobs. It exists while it holds a manifest or a blob.
CREATE TABLE repository (
    -- Never used twice, so an id that outlives its repository cannot mean another one.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The name, as in a URL: "library/ubuntu".
    name TEXT NOT NULL UNIQUE,
    -- When its first content arrived.
    created_at INTEGER NOT NULL
) STRICT;

-- Content that stands in the blob store. A row means that the file is there.
CREATE TABLE blob (
    -- What the content hashes to.
    digest BLOB NOT NULL PRIMARY KEY CHECK (
        (substr(digest, 1, 1) = x'01' AND length(digest) = 33)
        OR (substr(digest, 1, 1) = x'02' AND length(digest) = 65)
    ),
    -- Length of the content.
    size INTEGER NOT NULL CHECK (size >= 0),
    -- 1 when the bytes were found to be wrong: not served until they are pushed again.
    quarantined INTEGER NOT NULL DEFAULT 0 CHECK (quarantined IN (0, 1)),
    -- When the content first arrived.
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which repository may read which blob: it was pushed to it or mounted into it.
CREATE TABLE repository_blob (
    -- The repository.
    repository_id INTEGER NOT NULL REFERENCES repository (id),
    -- The blob; its row cannot go while a repository holds it.
    digest BLOB NOT NULL REFERENCES blob (digest),
    PRIMARY KEY (repository_id, digest)
) STRICT, WITHOUT ROWID;

-- Which repositories hold a blob: for mounting from anywhere, and for the removal of a blob.
CREATE INDEX repository_blob_by_digest ON repository_blob (digest);

-- A manifest as it was pushed. The columns that may be large come last, so that reading the others
-- touches no overflow page.
CREATE TABLE manifest (
    -- Internal; short, because tags and references point to it.
    id INTEGER PRIMARY KEY,
    -- The repository it was pushed to; the same manifest elsewhere is another row.
    repository_id INTEGER NOT NULL REFERENCES repository (id),
    -- The digest under which it was pushed.
    digest BLOB NOT NULL CHECK (
        (substr(digest, 1, 1) = x'01' AND length(digest) = 33)
        OR (substr(digest, 1, 1) = x'02' AND length(digest) = 65)
    ),
    -- The media type it is served with.
    media_type TEXT NOT NULL,
    -- Length of bytes.
    size INTEGER NOT NULL CHECK (size >= 0),
    -- When it was last pushed.
    pushed_at INTEGER NOT NULL,
    -- The digest of the manifest that it is about, which need not exist; NULL for most.
    subject BLOB,
    -- What the referrers API lists as artifactType; NULL when it has none.
    artifact_type TEXT,
    -- Its annotations, an object of strings in JSON; NULL when it has none.
    annotations TEXT,
    -- The exact bytes that were pushed.
    bytes BLOB NOT NULL,
    UNIQUE (repository_id, digest)
) STRICT;

-- The referrers API: by subject, in the order of digests, filtered without touching the table.
CREATE INDEX manifest_by_subject ON manifest (repository_id, subject, digest, artifact_type)
WHERE subject IS NOT NULL;

-- What a manifest refers to.
CREATE TABLE manifest_reference (
    -- The manifest that refers.
    manifest_id INTEGER NOT NULL REFERENCES manifest (id) ON DELETE CASCADE,
    -- The place in the manifest, counted from 0: config, layers, children as they stand.
    position INTEGER NOT NULL,
    -- 1 config, 2 layer (or a blob of an artifact), 3 child of an index.
    kind INTEGER NOT NULL CHECK (kind IN (1, 2, 3)),
    -- The digest of what is referred to; content that is never distributed has no row.
    digest BLOB NOT NULL,
    PRIMARY KEY (manifest_id, position)
) STRICT, WITHOUT ROWID;

-- A name that can be moved from manifest to manifest within a repository.
CREATE TABLE tag (
    -- The repository.
    repository_id INTEGER NOT NULL REFERENCES repository (id),
    -- The name; case counts.
    name TEXT NOT NULL,
    -- The manifest of the same repository that it points to; the tag goes when that goes.
    manifest_id INTEGER NOT NULL REFERENCES manifest (id) ON DELETE CASCADE,
    -- When it was last set, also when it was set to the manifest it had.
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (repository_id, name)
) STRICT, WITHOUT ROWID;

-- Which tags go with a manifest.
CREATE INDEX tag_by_manifest ON tag (manifest_id);

-- Totals over the catalog, one row, kept by the triggers below so that nobody has to count.
CREATE TABLE total (
    -- There is one row.
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- Rows of repository.
    repositories INTEGER NOT NULL,
    -- Rows of blob.
    blobs INTEGER NOT NULL,
    -- Sum of blob.size.
    blob_bytes INTEGER NOT NULL,
    -- Rows of manifest.
    manifests INTEGER NOT NULL,
    -- Rows of tag.
    tags INTEGER NOT NULL
) STRICT;

INSERT INTO total (id, repositories, blobs, blob_bytes, manifests, tags) VALUES (1, 0, 0, 0, 0, 0);

CREATE TRIGGER repository_inserted AFTER INSERT ON repository BEGIN
    UPDATE total SET repositories = repositories + 1 WHERE id = 1;
END;

CREATE TRIGGER repository_deleted AFTER DELETE ON repository BEGIN
    UPDATE total SET repositories = repositories - 1 WHERE id = 1;
END;

CREATE TRIGGER blob_inserted AFTER INSERT ON blob BEGIN
    UPDATE total SET blobs = blobs + 1, blob_bytes = blob_bytes + new.size WHERE id = 1;
END;

CREATE TRIGGER blob_resized AFTER UPDATE OF size ON blob WHEN old.size <> new.size BEGIN
    UPDATE total SET blob_bytes = blob_bytes - old.size + new.size WHERE id = 1;
END;

CREATE TRIGGER blob_deleted AFTER DELETE ON blob BEGIN
    UPDATE total SET blobs = blobs - 1, blob_bytes = blob_bytes - old.size WHERE id = 1;
END;

CREATE TRIGGER manifest_inserted AFTER INSERT ON manifest BEGIN
    UPDATE total SET manifests = manifests + 1 WHERE id = 1;
END;

CREATE TRIGGER manifest_deleted AFTER DELETE ON manifest BEGIN
    UPDATE total SET manifests = manifests - 1 WHERE id = 1;
END;

CREATE TRIGGER tag_inserted AFTER INSERT ON tag BEGIN
    UPDATE total SET tags = tags + 1 WHERE id = 1;
END;

CREATE TRIGGER tag_deleted AFTER DELETE ON tag BEGIN
    UPDATE total SET tags = tags - 1 WHERE id = 1;
END;
