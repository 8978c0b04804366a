-- insert
INSERT INTO "public"."Odd ""name" AS t (";--", "t") SELECT s.c1, s.c2 FROM unnest($1::int4[], $2::text[]) AS s(c1, c2);
-- insert, some columns
INSERT INTO "public"."Odd ""name" AS t (";--", "t") SELECT s.c1, s.c2 FROM unnest($1::int4[], $2::text[]) AS s(c1, c2);
-- update
UPDATE ONLY "public"."Odd ""name" AS t SET "t" = s.c1 FROM unnest($1::text[], $2::int4[]) WITH ORDINALITY AS s(c1, c2, n) WHERE t.";--" = s.c2 RETURNING s.n;
-- update, only the key present
UPDATE ONLY "public"."Odd ""name" AS t SET ";--" = s.c1 FROM unnest($1::int4[]) WITH ORDINALITY AS s(c1, n) WHERE t.";--" = s.c1 RETURNING s.n;
-- move
UPDATE ONLY "public"."Odd ""name" AS t SET ";--" = s.c1, "t" = s.c2 FROM unnest($1::int4[], $2::text[], $3::int4[]) WITH ORDINALITY AS s(c1, c2, c3, n) WHERE t.";--" = s.c3 RETURNING s.n;
-- delete
DELETE FROM ONLY "public"."Odd ""name" AS t USING unnest($1::int4[]) WITH ORDINALITY AS s(c1, n) WHERE t.";--" = s.c1 RETURNING s.n;
-- remove
DELETE FROM ONLY "public"."Odd ""name" AS t USING unnest($1::int4[]) AS s(c1) WHERE t.";--" = s.c1;
-- put
INSERT INTO "public"."Odd ""name" AS t (";--", "t") SELECT s.c1, s.c2 FROM unnest($1::int4[], $2::text[]) AS s(c1, c2) ON CONFLICT (";--") DO UPDATE SET "t" = EXCLUDED."t";
-- read
SELECT s.n, t.";--", t."t" FROM unnest($1::int4[]) WITH ORDINALITY AS s(c1, n) JOIN ONLY "public"."Odd ""name" AS t ON t.";--" = s.c1 FOR NO KEY UPDATE OF t;
