-- Accounts: users, the groups they are in, and the tokens of machines.
--
-- A credential version is a number that was never given out before: each change that must end what
-- was granted on the old credential takes the next one, over all users and tokens, so that not even
-- an account that was removed and made again repeats one.

-- A person, or what acts like one.
CREATE TABLE user (
    -- Never used twice.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The name, one component of a repository's name: "ada".
    name TEXT NOT NULL UNIQUE,
    -- The bcrypt hash of the password, as "$2b$…"; NULL for who cannot log in by password.
    password_hash TEXT,
    -- 1 while neither the user nor the user's tokens are let in.
    disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    -- The credential version: changed by a new password, by disabling and by enabling.
    version INTEGER NOT NULL,
    -- When it was made.
    created_at INTEGER NOT NULL
) STRICT;

-- Who is in which group. A group exists while somebody is in it.
CREATE TABLE user_group (
    -- The user.
    user_id INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    -- The group's name: "dev".
    name TEXT NOT NULL,
    PRIMARY KEY (user_id, name)
) STRICT, WITHOUT ROWID;

-- A secret for machines, which works without a password and only as far as it says.
CREATE TABLE token (
    -- Never used twice.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The name: "ci".
    name TEXT NOT NULL UNIQUE,
    -- SHA-256 of the secret, which itself is nowhere; it is random, so that no more is needed.
    secret_hash BLOB NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    -- The user on whose behalf it acts; the token goes when the user goes. NULL for nobody.
    owner_id INTEGER REFERENCES user (id) ON DELETE CASCADE,
    -- Patterns of the repositories it is good for, a list of texts in JSON.
    repositories TEXT NOT NULL,
    -- What it may do to them: "pull,push", or "*" for all.
    actions TEXT NOT NULL,
    -- The credential version.
    version INTEGER NOT NULL,
    -- When it was made.
    created_at INTEGER NOT NULL,
    -- When it ends; NULL for never.
    expires_at INTEGER
) STRICT;

-- Which tokens act for a user: for listing them, and for their end.
CREATE INDEX token_by_owner ON token (owner_id);

-- The last credential version that was given out, one row.
CREATE TABLE credential_version (
    -- There is one row.
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- The number.
    last INTEGER NOT NULL
) STRICT;

INSERT INTO credential_version (id, last) VALUES (1, 0);
