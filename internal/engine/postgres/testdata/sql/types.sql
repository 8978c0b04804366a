-- insert
INSERT INTO "public"."types" AS t ("id", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l") SELECT s.c1::uuid, s.c2, s.c3, s.c4, s.c5::numeric, s.c6::bpchar, s.c7::"bit", s.c8::public.mood[], s.c9, s.c10, s.c11::timestamp with time zone, s.c12::boolean, s.c13::"char" FROM unnest($1::text[], $2::int2[], $3::int8[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[], $11::text[], $12::text[], $13::text[]) AS s(c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13);
-- insert, some columns
INSERT INTO "public"."types" AS t ("id", "a", "c", "e", "g", "i", "k") SELECT s.c1::uuid, s.c2, s.c3, s.c4::bpchar, s.c5::public.mood[], s.c6, s.c7::boolean FROM unnest($1::text[], $2::int2[], $3::bytea[], $4::text[], $5::text[], $6::bytea[], $7::text[]) AS s(c1, c2, c3, c4, c5, c6, c7);
-- update
UPDATE ONLY "public"."types" AS t SET "a" = s.c1, "b" = s.c2, "c" = s.c3, "d" = s.c4::numeric, "e" = s.c5::bpchar, "f" = s.c6::"bit", "g" = s.c7::public.mood[], "h" = s.c8, "i" = s.c9, "j" = s.c10::timestamp with time zone, "k" = s.c11::boolean, "l" = s.c12::"char" FROM unnest($1::int2[], $2::int8[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[], $10::text[], $11::text[], $12::text[], $13::text[]) WITH ORDINALITY AS s(c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, n) WHERE t."id" = s.c13::uuid RETURNING s.n;
-- update, only the key present
UPDATE ONLY "public"."types" AS t SET "id" = s.c1::uuid FROM unnest($1::text[]) WITH ORDINALITY AS s(c1, n) WHERE t."id" = s.c1::uuid RETURNING s.n;
-- move
UPDATE ONLY "public"."types" AS t SET "id" = s.c1::uuid, "a" = s.c2, "b" = s.c3, "c" = s.c4, "d" = s.c5::numeric, "e" = s.c6::bpchar, "f" = s.c7::"bit", "g" = s.c8::public.mood[], "h" = s.c9, "i" = s.c10, "j" = s.c11::timestamp with time zone, "k" = s.c12::boolean, "l" = s.c13::"char" FROM unnest($1::text[], $2::int2[], $3::int8[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[], $11::text[], $12::text[], $13::text[], $14::text[]) WITH ORDINALITY AS s(c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, n) WHERE t."id" = s.c14::uuid RETURNING s.n;
-- delete
DELETE FROM ONLY "public"."types" AS t USING unnest($1::text[]) WITH ORDINALITY AS s(c1, n) WHERE t."id" = s.c1::uuid RETURNING s.n;
-- remove
DELETE FROM ONLY "public"."types" AS t USING unnest($1::text[]) AS s(c1) WHERE t."id" = s.c1::uuid;
-- put
INSERT INTO "public"."types" AS t ("id", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l") SELECT s.c1::uuid, s.c2, s.c3, s.c4, s.c5::numeric, s.c6::bpchar, s.c7::"bit", s.c8::public.mood[], s.c9, s.c10, s.c11::timestamp with time zone, s.c12::boolean, s.c13::"char" FROM unnest($1::text[], $2::int2[], $3::int8[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[], $11::text[], $12::text[], $13::text[]) AS s(c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13) ON CONFLICT ("id") DO UPDATE SET "a" = EXCLUDED."a", "b" = EXCLUDED."b", "c" = EXCLUDED."c", "d" = EXCLUDED."d", "e" = EXCLUDED."e", "f" = EXCLUDED."f", "g" = EXCLUDED."g", "h" = EXCLUDED."h", "i" = EXCLUDED."i", "j" = EXCLUDED."j", "k" = EXCLUDED."k", "l" = EXCLUDED."l";
-- read
SELECT s.n, t."id", t."a", t."b", t."c", t."d", t."e", t."f", t."g", t."h", t."i", t."j", t."k", t."l" FROM unnest($1::text[]) WITH ORDINALITY AS s(c1, n) JOIN ONLY "public"."types" AS t ON t."id" = s.c1::uuid FOR NO KEY UPDATE OF t;
