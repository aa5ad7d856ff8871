-- Short blobs keep their bytes in the catalog: bytes and row become durable with one commit.

-- Bytes of the blobs that are no files. What has no row here is a file of the blob store. In a
-- table of its own, so that reading a blob's row touches none of them.
CREATE TABLE inline_blob (
    -- The blob; the bytes go with its row.
    digest BLOB NOT NULL PRIMARY KEY REFERENCES blob (digest) ON DELETE CASCADE,
    -- Its content, as long as the blob's row says.
    bytes BLOB NOT NULL
) STRICT;
