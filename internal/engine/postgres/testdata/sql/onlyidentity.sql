-- insert
INSERT INTO "public"."onlyidentity" AS t ("id") OVERRIDING SYSTEM VALUE SELECT s.c1 FROM unnest($1::int4[]) AS s(c1);
-- insert, some columns
INSERT INTO "public"."onlyidentity" AS t ("id") OVERRIDING SYSTEM VALUE SELECT s.c1 FROM unnest($1::int4[]) AS s(c1);
-- update
SELECT s.n FROM unnest($1::int4[]) WITH ORDINALITY AS s(c1, n) JOIN ONLY "public"."onlyidentity" AS t ON t."id" = s.c1 FOR NO KEY UPDATE OF t;
-- update, only the key present
SELECT s.n FROM unnest($1::int4[]) WITH ORDINALITY AS s(c1, n) JOIN ONLY "public"."onlyidentity" AS t ON t."id" = s.c1 FOR NO KEY UPDATE OF t;
-- move
UPDATE ONLY "public"."onlyidentity" AS t SET "id" = s.c1 FROM unnest($1::int4[], $2::int4[]) WITH ORDINALITY AS s(c1, c2, n) WHERE t."id" = s.c2 RETURNING s.n;
-- delete
DELETE FROM ONLY "public"."onlyidentity" AS t USING unnest($1::int4[]) WITH ORDINALITY AS s(c1, n) WHERE t."id" = s.c1 RETURNING s.n;
-- remove
DELETE FROM ONLY "public"."onlyidentity" AS t USING unnest($1::int4[]) AS s(c1) WHERE t."id" = s.c1;
-- put
INSERT INTO "public"."onlyidentity" AS t ("id") OVERRIDING SYSTEM VALUE SELECT s.c1 FROM unnest($1::int4[]) AS s(c1) ON CONFLICT ("id") DO NOTHING;
-- read
SELECT s.n, t."id" FROM unnest($1::int4[]) WITH ORDINALITY AS s(c1, n) JOIN ONLY "public"."onlyidentity" AS t ON t."id" = s.c1 FOR NO KEY UPDATE OF t;
