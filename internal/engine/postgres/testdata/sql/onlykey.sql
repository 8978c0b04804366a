-- insert
INSERT INTO "public"."onlykey" AS t ("a", "b") SELECT s.c1, s.c2 FROM unnest($1::int4[], $2::int4[]) AS s(c1, c2);
-- insert, some columns
INSERT INTO "public"."onlykey" AS t ("a", "b") SELECT s.c1, s.c2 FROM unnest($1::int4[], $2::int4[]) AS s(c1, c2);
-- update
UPDATE ONLY "public"."onlykey" AS t SET "a" = s.c1 FROM unnest($1::int4[], $2::int4[]) WITH ORDINALITY AS s(c1, c2, n) WHERE t."a" = s.c1 AND t."b" = s.c2 RETURNING s.n;
-- update, only the key present
UPDATE ONLY "public"."onlykey" AS t SET "a" = s.c1 FROM unnest($1::int4[], $2::int4[]) WITH ORDINALITY AS s(c1, c2, n) WHERE t."a" = s.c1 AND t."b" = s.c2 RETURNING s.n;
-- move
UPDATE ONLY "public"."onlykey" AS t SET "a" = s.c1, "b" = s.c2 FROM unnest($1::int4[], $2::int4[], $3::int4[], $4::int4[]) WITH ORDINALITY AS s(c1, c2, c3, c4, n) WHERE t."a" = s.c3 AND t."b" = s.c4 RETURNING s.n;
-- delete
DELETE FROM ONLY "public"."onlykey" AS t USING unnest($1::int4[], $2::int4[]) WITH ORDINALITY AS s(c1, c2, n) WHERE t."a" = s.c1 AND t."b" = s.c2 RETURNING s.n;
-- remove
DELETE FROM ONLY "public"."onlykey" AS t USING unnest($1::int4[], $2::int4[]) AS s(c1, c2) WHERE t."a" = s.c1 AND t."b" = s.c2;
-- put
INSERT INTO "public"."onlykey" AS t ("a", "b") SELECT s.c1, s.c2 FROM unnest($1::int4[], $2::int4[]) AS s(c1, c2) ON CONFLICT ("a", "b") DO UPDATE SET "a" = EXCLUDED."a";
-- read
SELECT s.n, t."a", t."b" FROM unnest($1::int4[], $2::int4[]) WITH ORDINALITY AS s(c1, c2, n) JOIN ONLY "public"."onlykey" AS t ON t."a" = s.c1 AND t."b" = s.c2 FOR NO KEY UPDATE OF t;
