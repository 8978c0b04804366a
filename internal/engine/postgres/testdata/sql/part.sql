-- insert
INSERT INTO "public"."part" AS t ("id", "v") SELECT s.c1, s.c2 FROM unnest($1::int4[], $2::text[]) AS s(c1, c2);
-- insert, some columns
INSERT INTO "public"."part" AS t ("id", "v") SELECT s.c1, s.c2 FROM unnest($1::int4[], $2::text[]) AS s(c1, c2);
-- update
UPDATE "public"."part" AS t SET "v" = s.c1 FROM unnest($1::text[], $2::int4[]) WITH ORDINALITY AS s(c1, c2, n) WHERE t."id" = s.c2 RETURNING s.n;
-- update, only the key present
UPDATE "public"."part" AS t SET "id" = s.c1 FROM unnest($1::int4[]) WITH ORDINALITY AS s(c1, n) WHERE t."id" = s.c1 RETURNING s.n;
-- move
UPDATE "public"."part" AS t SET "id" = s.c1, "v" = s.c2 FROM unnest($1::int4[], $2::text[], $3::int4[]) WITH ORDINALITY AS s(c1, c2, c3, n) WHERE t."id" = s.c3 RETURNING s.n;
-- delete
DELETE FROM "public"."part" AS t USING unnest($1::int4[]) WITH ORDINALITY AS s(c1, n) WHERE t."id" = s.c1 RETURNING s.n;
-- remove
DELETE FROM "public"."part" AS t USING unnest($1::int4[]) AS s(c1) WHERE t."id" = s.c1;
-- put
INSERT INTO "public"."part" AS t ("id", "v") SELECT s.c1, s.c2 FROM unnest($1::int4[], $2::text[]) AS s(c1, c2) ON CONFLICT ("id") DO UPDATE SET "v" = EXCLUDED."v";
-- read
SELECT s.n, t."id", t."v" FROM unnest($1::int4[]) WITH ORDINALITY AS s(c1, n) JOIN "public"."part" AS t ON t."id" = s.c1 FOR NO KEY UPDATE OF t;
