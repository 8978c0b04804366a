-- From version 1 of the control schema to version 2: conflicts keep base, transaction ids, commit times, and what
-- names them at every site alike. Run before control.sql; every statement may be run again.
ALTER TABLE IF EXISTS concord.site ADD COLUMN IF NOT EXISTS schema_version integer NOT NULL DEFAULT 1;
ALTER TABLE IF EXISTS concord.conflict
    ADD COLUMN IF NOT EXISTS key_hash     uuid,
    ADD COLUMN IF NOT EXISTS other_hash   uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    ADD COLUMN IF NOT EXISTS unique_key   text,
    ADD COLUMN IF NOT EXISTS older_xid    bigint,
    ADD COLUMN IF NOT EXISTS older_commit timestamptz,
    ADD COLUMN IF NOT EXISTS newer_xid    bigint,
    ADD COLUMN IF NOT EXISTS newer_commit timestamptz,
    ADD COLUMN IF NOT EXISTS base_row     jsonb,
    ADD COLUMN IF NOT EXISTS base_known   boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS message      text,
    ADD COLUMN IF NOT EXISTS older_seen   jsonb,
    ADD COLUMN IF NOT EXISTS newer_seen   jsonb;
DROP INDEX IF EXISTS concord.conflict_at;
