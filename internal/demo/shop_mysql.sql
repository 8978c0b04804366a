-- The shop at MySQL and MariaDB. The server counts in steps of two, from a number of its
-- own at each site. Keys compare byte by byte, as those of PostgreSQL do.
CREATE TABLE customers (
    id         bigint         AUTO_INCREMENT PRIMARY KEY,
    name       varchar(200)   NOT NULL,
    email      varchar(200)   CHARACTER SET utf8mb4 COLLATE {{bytes}} NOT NULL UNIQUE,
    city       varchar(200),
    credit     decimal(12, 2) NOT NULL DEFAULT 0,
    tags       json           NOT NULL DEFAULT ('[]'),
    created_at timestamp(6)   NOT NULL
);

CREATE TABLE orders (
    id          bigint         AUTO_INCREMENT PRIMARY KEY,
    customer_id bigint         NOT NULL REFERENCES customers (id),
    status      enum('new', 'paid', 'packed', 'shipped', 'returned') NOT NULL DEFAULT 'new',
    total       decimal(12, 2) NOT NULL,
    details     json           NOT NULL DEFAULT ('{}'),
    placed_at   timestamp(6)   NOT NULL,
    updated_at  timestamp(6)   NOT NULL
);

CREATE TABLE order_lines (
    order_id bigint         NOT NULL REFERENCES orders (id),
    line     int            NOT NULL,
    sku      varchar(40)    NOT NULL,
    quantity int            NOT NULL,
    price    decimal(12, 2) NOT NULL,
    PRIMARY KEY (order_id, line)
);

CREATE TABLE inventory (
    sku        varchar(40)  CHARACTER SET utf8mb4 COLLATE {{bytes}} PRIMARY KEY,
    name       varchar(200) NOT NULL,
    on_hand    int          NOT NULL,
    changed_by varchar(40)  NOT NULL,
    changed_at timestamp(6) NOT NULL
);

CREATE TABLE sessions (
    token       varchar(40)  CHARACTER SET utf8mb4 COLLATE {{bytes}} PRIMARY KEY,
    customer_id bigint       NOT NULL,
    cart        json         NOT NULL,
    seen_at     timestamp(6) NOT NULL
);

-- What the demo itself sends across to see when a side has caught up.
CREATE TABLE markers (
    site   varchar(40) CHARACTER SET utf8mb4 COLLATE {{bytes}} PRIMARY KEY,
    number bigint      NOT NULL
);

-- The same at both sites before anything is replicated.
INSERT INTO customers (id, name, email, city, created_at)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
SELECT -i, concat('Customer ', i), concat('customer', i, '@example.com'), elt(i % 4 + 1, 'Mumbai', 'Pune', 'Nashik', 'Thane'),
       timestamp '2026-01-01 00:00:00' + interval i minute
FROM n;

INSERT INTO orders (id, customer_id, status, total, placed_at, updated_at)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
SELECT -i, -(i % 500 + 1), 'new', 100 + i % 900, timestamp '2026-01-02 00:00:00' + interval i minute, '2026-01-03 00:00:00'
FROM n;

INSERT INTO order_lines
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
SELECT -i, line, concat('SKU-', lpad(i * line % 100, 3, '0')), 1 + line, 9.99 * line
FROM n, (SELECT 1 AS line UNION ALL SELECT 2) AS two;

INSERT INTO inventory
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99)
SELECT concat('SKU-', lpad(i, 3, '0')), concat('Article ', i), 1000, 'nobody', '2026-01-01 00:00:00'
FROM n;
