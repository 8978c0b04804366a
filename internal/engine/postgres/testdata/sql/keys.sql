-- insert
INSERT INTO "public"."keys" AS t ("b", "a", "m", "v") SELECT s.c1::public.citext, s.c2::numeric, s.c3::public.mood, s.c4 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS s(c1, c2, c3, c4);
-- insert, some columns
INSERT INTO "public"."keys" AS t ("b", "a", "m", "v") SELECT s.c1::public.citext, s.c2::numeric, s.c3::public.mood, s.c4 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS s(c1, c2, c3, c4);
-- update
UPDATE ONLY "public"."keys" AS t SET "b" = s.c1::public.citext, "a" = s.c2::numeric, "v" = s.c3 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS s(c1, c2, c3, c4, n) WHERE t."b" OPERATOR(public.=) s.c1::public.citext AND t."a" = s.c2::numeric AND t."m"::public.mood = s.c4::public.mood RETURNING s.n;
-- update, only the key present
UPDATE ONLY "public"."keys" AS t SET "b" = s.c1::public.citext, "a" = s.c2::numeric FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS s(c1, c2, c3, n) WHERE t."b" OPERATOR(public.=) s.c1::public.citext AND t."a" = s.c2::numeric AND t."m"::public.mood = s.c3::public.mood RETURNING s.n;
-- move
UPDATE ONLY "public"."keys" AS t SET "b" = s.c1::public.citext, "a" = s.c2::numeric, "m" = s.c3::public.mood, "v" = s.c4 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) WITH ORDINALITY AS s(c1, c2, c3, c4, c5, c6, c7, n) WHERE t."b" OPERATOR(public.=) s.c5::public.citext AND t."a" = s.c6::numeric AND t."m"::public.mood = s.c7::public.mood RETURNING s.n;
-- delete
DELETE FROM ONLY "public"."keys" AS t USING unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS s(c1, c2, c3, n) WHERE t."b" OPERATOR(public.=) s.c1::public.citext AND t."a" = s.c2::numeric AND t."m"::public.mood = s.c3::public.mood RETURNING s.n;
-- remove
DELETE FROM ONLY "public"."keys" AS t USING unnest($1::text[], $2::text[], $3::text[]) AS s(c1, c2, c3) WHERE t."b" OPERATOR(public.=) s.c1::public.citext AND t."a" = s.c2::numeric AND t."m"::public.mood = s.c3::public.mood;
-- put
INSERT INTO "public"."keys" AS t ("b", "a", "m", "v") SELECT s.c1::public.citext, s.c2::numeric, s.c3::public.mood, s.c4 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS s(c1, c2, c3, c4) ON CONFLICT ("b", "a", "m") DO UPDATE SET "b" = EXCLUDED."b", "a" = EXCLUDED."a", "v" = EXCLUDED."v";
-- read
SELECT s.n, t."b", t."a", t."m", t."v" FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS s(c1, c2, c3, n) JOIN ONLY "public"."keys" AS t ON t."b" OPERATOR(public.=) s.c1::public.citext AND t."a" = s.c2::numeric AND t."m"::public.mood = s.c3::public.mood FOR NO KEY UPDATE OF t;
