-- The objects Concord creates in a server, in the database `concord`. Run by `concord init`, statement by statement (each
-- ends with a semicolon at the end of a line); every one may be run again. Moments are UTC.
CREATE DATABASE IF NOT EXISTS concord CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One row: who this database is. The epoch is the generation of its log.
CREATE TABLE IF NOT EXISTS concord.site (
    one            TINYINT      NOT NULL DEFAULT 1 PRIMARY KEY CHECK (one = 1),
    cluster        VARCHAR(255) NOT NULL,
    site           VARCHAR(64)  NOT NULL,
    epoch          INT          NOT NULL,
    start_position LONGTEXT     NOT NULL, -- where the epoch began; the empty stream resumes here
    `system`       VARCHAR(64)  NOT NULL, -- of the server when the epoch began: its UUID (MySQL) or UID (MariaDB)
    created_at     DATETIME(6)  NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    schema_version INT          NOT NULL DEFAULT 1 -- of this schema
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- How far each other site has been applied. A transaction whose first write is of this table is a replicated one: the
-- row is its mark.
CREATE TABLE IF NOT EXISTS concord.checkpoint (
    origin     VARCHAR(64) NOT NULL PRIMARY KEY,
    epoch      INT         NOT NULL,
    seq        BIGINT      NOT NULL,
    hlc        BIGINT      NOT NULL,
    applied_at DATETIME(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- One row, of this site, written once a second; it travels the whole path.
CREATE TABLE IF NOT EXISTS concord.heartbeat (
    site VARCHAR(64) NOT NULL PRIMARY KEY,
    beat DATETIME(6) NOT NULL -- by the agent's clock
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Conflicts settled here. The same conflict reads the same at every site.
CREATE TABLE IF NOT EXISTS concord.conflict (
    id           BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at           DATETIME(6)  NOT NULL,
    table_name   VARCHAR(255) NOT NULL, -- schema.name
    `key`        JSON         NOT NULL,
    kind         VARCHAR(64)  NOT NULL,
    policy       LONGTEXT     NOT NULL,
    resolution   VARCHAR(64)  NOT NULL, -- newer, older, merged, parked
    older_origin VARCHAR(64)  NOT NULL,
    older_seq    BIGINT       NOT NULL,
    older_hlc    BIGINT       NOT NULL,
    older_op     VARCHAR(16)  NOT NULL,
    older_row    JSON,                  -- null: it deleted the row, or (op neither delete nor truncate) it is not known
    newer_origin VARCHAR(64)  NOT NULL,
    newer_seq    BIGINT       NOT NULL,
    newer_hlc    BIGINT       NOT NULL,
    newer_op     VARCHAR(16)  NOT NULL,
    newer_row    JSON,
    result_row   JSON,                  -- null: no row, or (parked) not decided
    key_hash     CHAR(32),              -- of table and key, in hex
    other_hash   CHAR(32)     NOT NULL DEFAULT '00000000000000000000000000000000', -- of the row that held the value of the unique key
    unique_key   VARCHAR(255),          -- name of the unique key that two rows have a value of
    older_xid    BIGINT,                -- at its origin; null: not known
    older_commit DATETIME(6),           -- by the origin database's clock
    newer_xid    BIGINT,
    newer_commit DATETIME(6),
    base_row     JSON,                  -- the row at the last point that both writes knew
    base_known   BOOLEAN      NOT NULL DEFAULT FALSE, -- base_row null: there was no row
    message      LONGTEXT,              -- why a rule could not decide
    older_seen   JSON,                  -- up to where its origin had applied the others'; null: not known
    newer_seen   JSON,
    KEY conflict_at (at, id),
    KEY conflict_table (table_name, at, id),
    UNIQUE KEY conflict_of (key_hash, other_hash, older_hlc, older_origin, newer_hlc, newer_origin)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Changes set aside with their reason, in order, waiting for a person or a retry.
CREATE TABLE IF NOT EXISTS concord.parked (
    id         BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at         DATETIME(6)  NOT NULL,
    origin     VARCHAR(64)  NOT NULL,
    epoch      INT          NOT NULL,
    seq        BIGINT       NOT NULL,
    hlc        BIGINT       NOT NULL,
    seen       JSON         NOT NULL,
    row_index  INT          NOT NULL, -- of the row in its transaction
    table_name VARCHAR(255) NOT NULL, -- schema.name
    op         VARCHAR(16)  NOT NULL,
    `key`      JSON         NOT NULL,
    `change`   JSON         NOT NULL, -- shape and images, exact
    reason     VARCHAR(64)  NOT NULL,
    message    LONGTEXT     NOT NULL,
    behind     BOOLEAN      NOT NULL, -- parked only because an earlier change of its key or table is
    UNIQUE KEY parked_of (origin, epoch, seq, row_index)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Tables held back because they, or a column, do not exist here; what waits is in the local copy of the stream.
CREATE TABLE IF NOT EXISTS concord.hold (
    origin     VARCHAR(64)  NOT NULL,
    table_name VARCHAR(255) NOT NULL, -- schema.name
    from_seq   BIGINT       NOT NULL, -- first transaction whose changes of the table wait
    `columns`  JSON         NOT NULL, -- what is missing; empty: the table
    low        JSON         NOT NULL, -- per origin, up to where nothing was in flight when the hold began
    message    LONGTEXT     NOT NULL,
    since      DATETIME(6)  NOT NULL,
    PRIMARY KEY (origin, table_name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- How each site decides about tables: this one as its agent started, the others as their frames told.
CREATE TABLE IF NOT EXISTS concord.rules (
    site  VARCHAR(64) NOT NULL PRIMARY KEY,
    rules JSON        NOT NULL,
    since DATETIME(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE OR REPLACE SQL SECURITY INVOKER VIEW concord.conflicts AS
    SELECT id, at, table_name, `key`, kind, policy, resolution, older_origin, older_row, newer_origin, newer_row, result_row,
           base_row, older_commit, older_xid, newer_commit, newer_xid, unique_key, message
    FROM concord.conflict ORDER BY id DESC;

CREATE OR REPLACE SQL SECURITY INVOKER VIEW concord.status AS
    SELECT c.origin, c.epoch, c.seq, c.applied_at, TIMESTAMP('1970-01-01 00:00:00.000000') + INTERVAL (c.hlc DIV 256) MICROSECOND AS applied_through,
           (SELECT count(*) FROM concord.parked p WHERE p.origin = c.origin) AS parked
    FROM concord.checkpoint c ORDER BY c.origin;
