-- insert
INSERT INTO "public"."identity" AS t ("id", "n", "v") OVERRIDING SYSTEM VALUE SELECT s.c1, s.c2, s.c3 FROM unnest($1::int8[], $2::int4[], $3::int4[]) AS s(c1, c2, c3);
-- insert, some columns
INSERT INTO "public"."identity" AS t ("id", "n") OVERRIDING SYSTEM VALUE SELECT s.c1, s.c2 FROM unnest($1::int8[], $2::int4[]) AS s(c1, c2);
-- update
UPDATE ONLY "public"."identity" AS t SET "v" = s.c1 FROM unnest($1::int4[], $2::int8[]) WITH ORDINALITY AS s(c1, c2, n) WHERE t."id" = s.c2 RETURNING s.n;
-- update, only the key present
SELECT s.n FROM unnest($1::int8[]) WITH ORDINALITY AS s(c1, n) JOIN ONLY "public"."identity" AS t ON t."id" = s.c1 FOR NO KEY UPDATE OF t;
-- move
UPDATE ONLY "public"."identity" AS t SET "id" = s.c1, "v" = s.c2 FROM unnest($1::int8[], $2::int4[], $3::int8[]) WITH ORDINALITY AS s(c1, c2, c3, n) WHERE t."id" = s.c3 RETURNING s.n;
-- delete
DELETE FROM ONLY "public"."identity" AS t USING unnest($1::int8[]) WITH ORDINALITY AS s(c1, n) WHERE t."id" = s.c1 RETURNING s.n;
-- remove
DELETE FROM ONLY "public"."identity" AS t USING unnest($1::int8[]) AS s(c1) WHERE t."id" = s.c1;
-- put
INSERT INTO "public"."identity" AS t ("id", "n", "v") OVERRIDING SYSTEM VALUE SELECT s.c1, s.c2, s.c3 FROM unnest($1::int8[], $2::int4[], $3::int4[]) AS s(c1, c2, c3) ON CONFLICT ("id") DO UPDATE SET "v" = EXCLUDED."v";
-- read
SELECT s.n, t."id", t."n", t."v" FROM unnest($1::int8[]) WITH ORDINALITY AS s(c1, n) JOIN ONLY "public"."identity" AS t ON t."id" = s.c1 FOR NO KEY UPDATE OF t;
