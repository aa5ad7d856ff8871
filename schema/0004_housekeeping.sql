-- Housekeeping: what nothing refers to any more is known without looking for it, what each
-- repository holds is known without counting, and what was removed can be brought back for a time.
--
-- A repository whose name begins with '~', which no name of a client can, is the past of the one
-- with the rest of the name: it holds the manifests that were removed from that one and can still
-- be brought back. It counts uses of its blobs like any other, so they stay as long as it needs
-- them. Listings leave it out.

-- 1 for the past of a repository, 0 for one that clients see.
ALTER TABLE repository ADD COLUMN is_past INTEGER NOT NULL DEFAULT 0;
-- Rows of manifest.
ALTER TABLE repository ADD COLUMN manifests INTEGER NOT NULL DEFAULT 0;
-- Sum of manifest.size.
ALTER TABLE repository ADD COLUMN manifest_bytes INTEGER NOT NULL DEFAULT 0;
-- Rows of tag.
ALTER TABLE repository ADD COLUMN tags INTEGER NOT NULL DEFAULT 0;
-- Rows of repository_blob.
ALTER TABLE repository ADD COLUMN blobs INTEGER NOT NULL DEFAULT 0;
-- Sum of the sizes of these blobs.
ALTER TABLE repository ADD COLUMN blob_bytes INTEGER NOT NULL DEFAULT 0;
-- The part of them that no other repository that clients see holds; of a past: the part that no
-- other repository and no other past holds.
ALTER TABLE repository ADD COLUMN alone_bytes INTEGER NOT NULL DEFAULT 0;
-- For a past: when the repository was last removed as a whole; NULL when it never was.
ALTER TABLE repository ADD COLUMN removed_at INTEGER;

-- How many repositories that clients see hold it.
ALTER TABLE blob ADD COLUMN holders INTEGER NOT NULL DEFAULT 0;
-- How many pasts hold it.
ALTER TABLE blob ADD COLUMN pasts INTEGER NOT NULL DEFAULT 0;

-- How many rows of manifest_reference of manifests of the repository name the blob.
ALTER TABLE repository_blob ADD COLUMN uses INTEGER NOT NULL DEFAULT 0;
-- When collection may take it: set while there is no use, NULL while there is one.
ALTER TABLE repository_blob ADD COLUMN collect_after INTEGER;

-- The queue of the collection.
CREATE INDEX repository_blob_collectable ON repository_blob (collect_after)
WHERE collect_after IS NOT NULL;

-- Uses of blobs that the repository does not hold: by a manifest that was accepted without them,
-- or because they were deleted although they were used. Nearly always empty.
CREATE TABLE missing_blob (
    -- The repository.
    repository_id INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    -- The blob.
    digest BLOB NOT NULL,
    -- What repository_blob.uses will begin with; children of indexes are not counted here.
    uses INTEGER NOT NULL CHECK (uses > 0),
    PRIMARY KEY (repository_id, digest)
) STRICT, WITHOUT ROWID;

-- The indexes above a manifest (or above a blob that is a child of one).
CREATE INDEX manifest_reference_child ON manifest_reference (digest, manifest_id) WHERE kind = 3;

-- When a manifest of a past was removed; NULL for those that clients see.
ALTER TABLE manifest ADD COLUMN removed_at INTEGER;

-- What can be brought back, in the order in which its time ends.
CREATE INDEX manifest_removed ON manifest (removed_at) WHERE removed_at IS NOT NULL;

-- The same of one past.
CREATE INDEX manifest_removed_from ON manifest (repository_id, removed_at)
WHERE removed_at IS NOT NULL;

-- A manifest that nothing holds: no tag, no index above it, no subject that is there.
CREATE TABLE loose_manifest (
    -- The manifest, of a repository that clients see.
    manifest_id INTEGER PRIMARY KEY REFERENCES manifest (id) ON DELETE CASCADE,
    -- Since when it is so.
    since INTEGER NOT NULL
) STRICT;

-- Those that are so longest come first.
CREATE INDEX loose_manifest_by_since ON loose_manifest (since);

-- How often a manifest was pulled, by tag or by digest. In a table of its own, so that counting
-- does not write the manifest's bytes again.
CREATE TABLE manifest_pull (
    -- The manifest.
    manifest_id INTEGER PRIMARY KEY REFERENCES manifest (id) ON DELETE CASCADE,
    -- When it was last pulled.
    pulled_at INTEGER NOT NULL,
    -- How often it was.
    pulls INTEGER NOT NULL
) STRICT;

-- Who set it last; NULL when nobody was logged in.
ALTER TABLE tag ADD COLUMN set_by TEXT;
-- When it is to be removed; NULL for never.
ALTER TABLE tag ADD COLUMN expires_at INTEGER;
-- When it was last pulled; NULL for never.
ALTER TABLE tag ADD COLUMN pulled_at INTEGER;
-- How often it was.
ALTER TABLE tag ADD COLUMN pulls INTEGER NOT NULL DEFAULT 0;

-- Tags with a time to live, in the order in which it ends.
CREATE INDEX tag_by_expiry ON tag (expires_at) WHERE expires_at IS NOT NULL;

-- What tags pointed to before what they point to now. What they point to now is in tag.
CREATE TABLE tag_history (
    -- In the order in which they ended; never used twice.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The repository's name: this outlives its row.
    repository TEXT NOT NULL,
    -- The tag's name.
    tag TEXT NOT NULL,
    -- The manifest that it pointed to.
    digest BLOB NOT NULL,
    -- The manifest's media type: this outlives the manifest.
    media_type TEXT NOT NULL,
    -- The manifest's length.
    size INTEGER NOT NULL,
    -- When it was set to that.
    set_at INTEGER NOT NULL,
    -- By whom; NULL when nobody was logged in.
    set_by TEXT,
    -- When that ended.
    ended_at INTEGER NOT NULL,
    -- By whom; NULL when nobody was logged in.
    ended_by TEXT,
    -- How it ended: 1 moved to another manifest, 2 removed, 3 removed with its manifest, 4 removed
    -- in either way and made again since.
    ended_how INTEGER NOT NULL CHECK (ended_how IN (1, 2, 3, 4))
) STRICT;

-- The history of a tag.
CREATE INDEX tag_history_by_tag ON tag_history (repository, tag, id);

-- Removals, in the order in which the time to bring them back ends.
CREATE INDEX tag_history_removed ON tag_history (ended_at) WHERE ended_how IN (2, 3);

-- Manifests that were removed and whose tags are still rows: nobody sees these any more, and the
-- writer takes them away before it writes anything else. Nearly always empty.
CREATE TABLE ending_tags (
    -- The manifest, which is in the past already.
    manifest_id INTEGER PRIMARY KEY REFERENCES manifest (id),
    -- The repository that the tags are rows of; they keep it in the catalog.
    repository_id INTEGER NOT NULL,
    -- When they ended.
    ended_at INTEGER NOT NULL,
    -- By whom; NULL when nobody was logged in.
    ended_by TEXT
) STRICT;

-- Repositories that share a quota, known by the pattern of that quota.
CREATE TABLE quota_group (
    -- Internal.
    id INTEGER PRIMARY KEY,
    -- What says which repositories they are.
    pattern TEXT NOT NULL UNIQUE,
    -- Sum of blob_bytes and manifest_bytes of its repositories.
    bytes INTEGER NOT NULL DEFAULT 0,
    -- Sum of their tags.
    tags INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Which repositories are in which group.
CREATE TABLE quota_member (
    -- The repository, one that clients see.
    repository_id INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    -- The group.
    group_id INTEGER NOT NULL REFERENCES quota_group (id) ON DELETE CASCADE,
    PRIMARY KEY (repository_id, group_id)
) STRICT, WITHOUT ROWID;

-- The repositories of a group.
CREATE INDEX quota_member_by_group ON quota_member (group_id);

-- Sum over all repositories that clients see of their blob_bytes.
ALTER TABLE total ADD COLUMN linked_bytes INTEGER NOT NULL DEFAULT 0;
-- Sum of the sizes of blobs that only pasts hold.
ALTER TABLE total ADD COLUMN past_bytes INTEGER NOT NULL DEFAULT 0;
-- Sum of manifest.size, of pasts too.
ALTER TABLE total ADD COLUMN manifest_bytes INTEGER NOT NULL DEFAULT 0;
-- The newest time that content or background work was written with: a clock behind it is wrong.
ALTER TABLE total ADD COLUMN newest_at INTEGER NOT NULL DEFAULT 0;

-- What is there already is counted once.
UPDATE repository_blob SET uses = counted.uses FROM (
    SELECT m.repository_id, f.digest, count(*) AS uses
    FROM manifest_reference f JOIN manifest m ON m.id = f.manifest_id
    GROUP BY m.repository_id, f.digest
) AS counted
WHERE counted.repository_id = repository_blob.repository_id
AND counted.digest = repository_blob.digest;

UPDATE repository_blob SET collect_after = 0 WHERE uses = 0;

INSERT INTO missing_blob (repository_id, digest, uses)
SELECT m.repository_id, f.digest, count(*)
FROM manifest_reference f JOIN manifest m ON m.id = f.manifest_id
WHERE f.kind <> 3 AND NOT EXISTS (
    SELECT 1 FROM repository_blob rb
    WHERE rb.repository_id = m.repository_id AND rb.digest = f.digest
)
GROUP BY m.repository_id, f.digest;

UPDATE blob SET holders = counted.holders FROM (
    SELECT digest, count(*) AS holders FROM repository_blob GROUP BY digest
) AS counted
WHERE counted.digest = blob.digest;

UPDATE repository SET blobs = counted.blobs, blob_bytes = counted.bytes,
        alone_bytes = counted.alone FROM (
    SELECT rb.repository_id, count(*) AS blobs, sum(b.size) AS bytes,
        sum(iif(b.holders = 1, b.size, 0)) AS alone
    FROM repository_blob rb JOIN blob b ON b.digest = rb.digest
    GROUP BY rb.repository_id
) AS counted
WHERE counted.repository_id = repository.id;

UPDATE repository SET manifests = counted.manifests, manifest_bytes = counted.bytes FROM (
    SELECT repository_id, count(*) AS manifests, sum(size) AS bytes
    FROM manifest GROUP BY repository_id
) AS counted
WHERE counted.repository_id = repository.id;

UPDATE repository SET tags = counted.tags FROM (
    SELECT repository_id, count(*) AS tags FROM tag GROUP BY repository_id
) AS counted
WHERE counted.repository_id = repository.id;

INSERT INTO loose_manifest (manifest_id, since)
SELECT m.id, m.pushed_at FROM manifest m
WHERE NOT EXISTS (SELECT 1 FROM tag t WHERE t.manifest_id = m.id)
AND NOT EXISTS (
    SELECT 1 FROM manifest_reference f JOIN manifest above ON above.id = f.manifest_id
    WHERE f.kind = 3 AND f.digest = m.digest AND above.repository_id = m.repository_id
)
AND NOT EXISTS (
    SELECT 1 FROM manifest s WHERE s.repository_id = m.repository_id AND s.digest = m.subject
);

UPDATE total SET linked_bytes = (SELECT ifnull(sum(blob_bytes), 0) FROM repository),
        manifest_bytes = (SELECT ifnull(sum(manifest_bytes), 0) FROM repository),
        newest_at = (SELECT ifnull(max(pushed_at), 0) FROM manifest);

-- Totals from here on.
DROP TRIGGER repository_inserted;
DROP TRIGGER repository_deleted;
DROP TRIGGER blob_resized;
DROP TRIGGER manifest_inserted;
DROP TRIGGER manifest_deleted;
DROP TRIGGER tag_inserted;
DROP TRIGGER tag_deleted;

CREATE TRIGGER repository_inserted AFTER INSERT ON repository WHEN new.is_past = 0 BEGIN
    UPDATE total SET repositories = repositories + 1 WHERE id = 1;
END;

CREATE TRIGGER repository_deleted AFTER DELETE ON repository WHEN old.is_past = 0 BEGIN
    UPDATE total SET repositories = repositories - 1 WHERE id = 1;
END;

CREATE TRIGGER blob_resized AFTER UPDATE OF size ON blob WHEN old.size <> new.size BEGIN
    UPDATE repository SET blob_bytes = blob_bytes - old.size + new.size,
        alone_bytes = alone_bytes + iif(
            iif(is_past = 0, new.holders = 1, new.holders = 0 AND new.pasts = 1),
            new.size - old.size, 0)
    WHERE id IN (SELECT repository_id FROM repository_blob WHERE digest = new.digest);
    UPDATE total SET blob_bytes = blob_bytes - old.size + new.size,
        past_bytes = past_bytes
            + iif(new.holders = 0 AND new.pasts > 0, new.size - old.size, 0)
    WHERE id = 1;
END;

CREATE TRIGGER blob_held AFTER UPDATE OF holders, pasts ON blob
WHEN (old.holders = 0 AND old.pasts > 0) <> (new.holders = 0 AND new.pasts > 0) BEGIN
    UPDATE total SET past_bytes = past_bytes
        + iif(new.holders = 0 AND new.pasts > 0, new.size, -new.size)
    WHERE id = 1;
END;

-- It has come to be held by one alone: one that clients see, or one past while none of these does.
CREATE TRIGGER blob_alone AFTER UPDATE OF holders, pasts ON blob
WHEN iif(new.holders = 0, new.pasts = 1, new.holders = 1)
    AND NOT iif(new.holders = 0, old.holders = 0 AND old.pasts = 1, old.holders = 1)
BEGIN
    UPDATE repository SET alone_bytes = alone_bytes + new.size
    WHERE is_past = (new.holders = 0) AND id IN (
        SELECT repository_id FROM repository_blob WHERE digest = new.digest
    );
END;

-- One more of the kind has come to hold it (for which repository_blob_inserted has counted it
-- already), or one that clients see beside a past.
CREATE TRIGGER blob_shared AFTER UPDATE OF holders, pasts ON blob
WHEN iif(old.holders = 0, old.pasts = 1 AND new.holders + new.pasts > 1,
    old.holders = 1 AND new.holders > 1)
BEGIN
    UPDATE repository SET alone_bytes = alone_bytes - new.size
    WHERE is_past = (old.holders = 0) AND id IN (
        SELECT repository_id FROM repository_blob WHERE digest = new.digest
    );
END;

-- Few statements, because every push and every collection comes here.
CREATE TRIGGER repository_blob_inserted AFTER INSERT ON repository_blob BEGIN
    UPDATE repository SET blobs = blobs + 1, (blob_bytes, alone_bytes) = (
        SELECT blob_bytes + b.size, alone_bytes
            + iif(iif(is_past = 0, b.holders = 1, b.holders = 0 AND b.pasts = 1), b.size, 0)
        FROM blob b WHERE b.digest = new.digest
    ) WHERE id = new.repository_id;
    UPDATE blob SET (holders, pasts) = (
        SELECT holders + 1 - r.is_past, pasts + r.is_past
        FROM repository r WHERE r.id = new.repository_id
    ) WHERE digest = new.digest;
END;

CREATE TRIGGER repository_blob_deleted AFTER DELETE ON repository_blob BEGIN
    UPDATE repository SET blobs = blobs - 1, (blob_bytes, alone_bytes) = (
        SELECT blob_bytes - b.size, alone_bytes
            - iif(iif(is_past = 0, b.holders = 1, b.holders = 0 AND b.pasts = 1), b.size, 0)
        FROM blob b WHERE b.digest = old.digest
    ) WHERE id = old.repository_id;
    UPDATE blob SET (holders, pasts) = (
        SELECT holders - 1 + r.is_past, pasts - r.is_past
        FROM repository r WHERE r.id = old.repository_id
    ) WHERE digest = old.digest;
END;

CREATE TRIGGER repository_resized AFTER UPDATE OF blob_bytes ON repository
WHEN new.is_past = 0 BEGIN
    UPDATE total SET linked_bytes = linked_bytes - old.blob_bytes + new.blob_bytes WHERE id = 1;
END;

CREATE TRIGGER manifest_inserted AFTER INSERT ON manifest BEGIN
    UPDATE repository SET manifests = manifests + 1, manifest_bytes = manifest_bytes + new.size
    WHERE id = new.repository_id;
    UPDATE total SET manifests = manifests + 1, manifest_bytes = manifest_bytes + new.size,
        newest_at = max(newest_at, new.pushed_at)
    WHERE id = 1;
END;

CREATE TRIGGER manifest_moved AFTER UPDATE OF repository_id ON manifest BEGIN
    UPDATE repository SET manifests = manifests - 1, manifest_bytes = manifest_bytes - old.size
    WHERE id = old.repository_id;
    UPDATE repository SET manifests = manifests + 1, manifest_bytes = manifest_bytes + new.size
    WHERE id = new.repository_id;
END;

CREATE TRIGGER manifest_resized AFTER UPDATE OF size ON manifest WHEN old.size <> new.size BEGIN
    UPDATE repository SET manifest_bytes = manifest_bytes - old.size + new.size
    WHERE id = new.repository_id;
    UPDATE total SET manifest_bytes = manifest_bytes - old.size + new.size WHERE id = 1;
END;

CREATE TRIGGER manifest_deleted AFTER DELETE ON manifest BEGIN
    UPDATE repository SET manifests = manifests - 1, manifest_bytes = manifest_bytes - old.size
    WHERE id = old.repository_id;
    UPDATE total SET manifests = manifests - 1, manifest_bytes = manifest_bytes - old.size
    WHERE id = 1;
END;

-- Tags are counted by whoever writes them, many at a time: a manifest may have ten thousand.
CREATE TRIGGER repository_tagged AFTER UPDATE OF tags ON repository BEGIN
    UPDATE total SET tags = tags - old.tags + new.tags WHERE id = 1;
END;

CREATE TRIGGER repository_changed
AFTER UPDATE OF blob_bytes, manifest_bytes, tags ON repository
WHEN EXISTS (SELECT 1 FROM quota_member WHERE repository_id = new.id) BEGIN
    UPDATE quota_group SET
        bytes = bytes + new.blob_bytes - old.blob_bytes + new.manifest_bytes - old.manifest_bytes,
        tags = tags + new.tags - old.tags
    WHERE id IN (SELECT group_id FROM quota_member WHERE repository_id = new.id);
END;

CREATE TRIGGER quota_member_inserted AFTER INSERT ON quota_member BEGIN
    UPDATE quota_group SET bytes = quota_group.bytes + r.bytes, tags = quota_group.tags + r.tags
    FROM (SELECT blob_bytes + manifest_bytes AS bytes, tags FROM repository
        WHERE id = new.repository_id) AS r
    WHERE quota_group.id = new.group_id;
END;

CREATE TRIGGER quota_member_deleted AFTER DELETE ON quota_member BEGIN
    UPDATE quota_group SET bytes = quota_group.bytes - r.bytes, tags = quota_group.tags - r.tags
    FROM (SELECT blob_bytes + manifest_bytes AS bytes, tags FROM repository
        WHERE id = old.repository_id) AS r
    WHERE quota_group.id = old.group_id;
END;
