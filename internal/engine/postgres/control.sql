-- The objects Concord creates in a database. Run by `concord init`; every statement may be run again.
CREATE SCHEMA IF NOT EXISTS concord;

-- One row: who this database is. The epoch is the generation of its log.
CREATE TABLE IF NOT EXISTS concord.site (
    one            boolean     PRIMARY KEY DEFAULT true CHECK (one),
    cluster        text        NOT NULL,
    site           text        NOT NULL,
    epoch          integer     NOT NULL,
    slot           text        NOT NULL,
    start_position text        NOT NULL, -- where the slot began; the empty stream resumes here
    system         text        NOT NULL, -- system identifier of the database cluster
    timeline       integer     NOT NULL, -- of the server when its log was last read; a promotion begins another
    created_at     timestamptz NOT NULL DEFAULT now(),
    schema_version integer     NOT NULL DEFAULT 1 -- of this schema
);

-- How far each other site has been applied. A transaction that writes this table is a replicated one: the row is its mark.
CREATE TABLE IF NOT EXISTS concord.checkpoint (
    origin     text        PRIMARY KEY,
    epoch      integer     NOT NULL,
    seq        bigint      NOT NULL,
    hlc        bigint      NOT NULL,
    applied_at timestamptz NOT NULL
);

-- One row, of this site, written once a second; it travels the whole path.
CREATE TABLE IF NOT EXISTS concord.heartbeat (
    site text        PRIMARY KEY,
    beat timestamptz NOT NULL -- by the agent's clock
);

-- Conflicts settled here. The same conflict reads the same at every site.
CREATE TABLE IF NOT EXISTS concord.conflict (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL,
    table_name   text        NOT NULL, -- schema.name
    key          jsonb       NOT NULL,
    kind         text        NOT NULL,
    policy       text        NOT NULL,
    resolution   text        NOT NULL, -- newer, older, merged, parked
    older_origin text        NOT NULL,
    older_seq    bigint      NOT NULL,
    older_hlc    bigint      NOT NULL,
    older_op     text        NOT NULL,
    older_row    jsonb,                -- null: it deleted the row, or (op neither delete nor truncate) it is not known
    newer_origin text        NOT NULL,
    newer_seq    bigint      NOT NULL,
    newer_hlc    bigint      NOT NULL,
    newer_op     text        NOT NULL,
    newer_row    jsonb,
    result_row   jsonb,                -- null: no row, or (parked) not decided
    key_hash     uuid,                 -- of table and key
    other_hash   uuid        NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000', -- of the row that held the value of the unique key
    unique_key   text,                 -- name of the unique key that two rows have a value of
    older_xid    bigint,               -- at its origin; null: not known
    older_commit timestamptz,          -- by the origin database's clock
    newer_xid    bigint,
    newer_commit timestamptz,
    base_row     jsonb,                -- the row at the last point that both writes knew
    base_known   boolean     NOT NULL DEFAULT false, -- base_row null: there was no row
    message      text,                 -- why a rule could not decide
    older_seen   jsonb,                -- up to where its origin had applied the others'; null: not known
    newer_seen   jsonb
);
CREATE INDEX IF NOT EXISTS conflict_at ON concord.conflict (at, id);
CREATE INDEX IF NOT EXISTS conflict_table ON concord.conflict (table_name, at, id);
CREATE UNIQUE INDEX IF NOT EXISTS conflict_of ON concord.conflict (key_hash, other_hash, older_hlc, older_origin, newer_hlc, newer_origin);

-- Changes set aside with their reason, in order, waiting for a person or a retry.
CREATE TABLE IF NOT EXISTS concord.parked (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    origin     text        NOT NULL,
    epoch      integer     NOT NULL,
    seq        bigint      NOT NULL,
    hlc        bigint      NOT NULL,
    seen       jsonb       NOT NULL,
    row_index  integer     NOT NULL, -- of the row in its transaction
    table_name text        NOT NULL, -- schema.name
    op         text        NOT NULL,
    key        jsonb       NOT NULL,
    change     jsonb       NOT NULL, -- shape and images, exact
    reason     text        NOT NULL,
    message    text        NOT NULL,
    behind     boolean     NOT NULL, -- parked only because an earlier change of its key or table is
    UNIQUE (origin, epoch, seq, row_index)
);

-- Tables held back because they, or a column, do not exist here; what waits is in the local copy of the stream.
CREATE TABLE IF NOT EXISTS concord.hold (
    origin     text        NOT NULL,
    table_name text        NOT NULL, -- schema.name
    from_seq   bigint      NOT NULL, -- first transaction whose changes of the table wait
    columns    jsonb       NOT NULL, -- what is missing; empty: the table
    low        jsonb       NOT NULL, -- per origin, up to where nothing was in flight when the hold began
    message    text        NOT NULL,
    since      timestamptz NOT NULL,
    PRIMARY KEY (origin, table_name)
);

-- How each site decides about tables: this one as its agent started, the others as their frames told.
CREATE TABLE IF NOT EXISTS concord.rules (
    site  text        PRIMARY KEY,
    rules jsonb       NOT NULL,
    since timestamptz NOT NULL
);

CREATE OR REPLACE VIEW concord.conflicts AS
    SELECT id, at, table_name, key, kind, policy, resolution, older_origin, older_row, newer_origin, newer_row, result_row,
           base_row, older_commit, older_xid, newer_commit, newer_xid, unique_key, message
    FROM concord.conflict ORDER BY id DESC;

CREATE OR REPLACE VIEW concord.status AS
    SELECT c.origin, c.epoch, c.seq, c.applied_at, to_timestamp((c.hlc >> 8) / 1e6) AS applied_through,
           (SELECT count(*) FROM concord.parked p WHERE p.origin = c.origin) AS parked
    FROM concord.checkpoint c ORDER BY c.origin;
