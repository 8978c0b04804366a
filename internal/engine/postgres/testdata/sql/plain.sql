-- insert
INSERT INTO "public"."plain" AS t ("id", "v", "w") SELECT s.c1, s.c2, s.c3 FROM unnest($1::int4[], $2::text[], $3::text[]) AS s(c1, c2, c3);
-- insert, some columns
INSERT INTO "public"."plain" AS t ("id", "v") SELECT s.c1, s.c2 FROM unnest($1::int4[], $2::text[]) AS s(c1, c2);
-- update
UPDATE ONLY "public"."plain" AS t SET "v" = s.c1, "w" = s.c2 FROM unnest($1::text[], $2::text[], $3::int4[]) WITH ORDINALITY AS s(c1, c2, c3, n) WHERE t."id" = s.c3 RETURNING s.n;
-- update, only the key present
UPDATE ONLY "public"."plain" AS t SET "id" = s.c1 FROM unnest($1::int4[]) WITH ORDINALITY AS s(c1, n) WHERE t."id" = s.c1 RETURNING s.n;
-- move
UPDATE ONLY "public"."plain" AS t SET "id" = s.c1, "v" = s.c2, "w" = s.c3 FROM unnest($1::int4[], $2::text[], $3::text[], $4::int4[]) WITH ORDINALITY AS s(c1, c2, c3, c4, n) WHERE t."id" = s.c4 RETURNING s.n;
-- delete
DELETE FROM ONLY "public"."plain" AS t USING unnest($1::int4[]) WITH ORDINALITY AS s(c1, n) WHERE t."id" = s.c1 RETURNING s.n;
-- remove
DELETE FROM ONLY "public"."plain" AS t USING unnest($1::int4[]) AS s(c1) WHERE t."id" = s.c1;
-- put
INSERT INTO "public"."plain" AS t ("id", "v", "w") SELECT s.c1, s.c2, s.c3 FROM unnest($1::int4[], $2::text[], $3::text[]) AS s(c1, c2, c3) ON CONFLICT ("id") DO UPDATE SET "v" = EXCLUDED."v", "w" = EXCLUDED."w";
-- read
SELECT s.n, t."id", t."v", t."w" FROM unnest($1::int4[]) WITH ORDINALITY AS s(c1, n) JOIN ONLY "public"."plain" AS t ON t."id" = s.c1 FOR NO KEY UPDATE OF t;
