-- 100,000 products with their prices, stock and reviews. Values follow from the row numbers by multiplication and
-- remainder, so that every fill gives the same catalogue, in a few seconds.

INSERT INTO category (id, name)
VALUES (1, 'Kitchen'), (2, 'Garden'), (3, 'Office'), (4, 'Travel'), (5, 'Sports'), (6, 'Lighting'), (7, 'Audio'), (8, 'Toys');

INSERT INTO brand (id, name)
VALUES (1, 'Alder'), (2, 'Borealis'), (3, 'Cobalt'), (4, 'Dovetail'), (5, 'Ember'), (6, 'Fathom'), (7, 'Granite'),
       (8, 'Harbour'), (9, 'Ivory'), (10, 'Juniper'), (11, 'Kestrel');

INSERT INTO warehouse (id, name) VALUES (1, 'Hamburg'), (2, 'Lyon'), (3, 'Poznan'), (4, 'Turin');

CREATE TEMPORARY TABLE adjective (id INTEGER PRIMARY KEY, word TEXT NOT NULL);
INSERT INTO adjective (id, word)
VALUES (0, 'Compact'), (1, 'Folding'), (2, 'Quiet'), (3, 'Waterproof'), (4, 'Rechargeable'), (5, 'Adjustable'), (6, 'Light');

CREATE TEMPORARY TABLE noun (id INTEGER PRIMARY KEY, word TEXT NOT NULL);
INSERT INTO noun (id, word)
VALUES (0, 'Kettle'), (1, 'Lamp'), (2, 'Backpack'), (3, 'Speaker'), (4, 'Chair'), (5, 'Pump'), (6, 'Organiser'), (7, 'Tent'),
       (8, 'Puzzle'), (9, 'Mat'), (10, 'Thermometer'), (11, 'Scale'), (12, 'Cart');

CREATE TEMPORARY TABLE sentence (id INTEGER PRIMARY KEY, words TEXT NOT NULL);
INSERT INTO sentence (id, words)
VALUES (0, 'Made to be used every day and to be repaired rather than replaced; spare parts are kept for ten years. '),
       (1, 'The housing is recycled aluminium, and nothing in it is glued that could have been screwed. '),
       (2, 'Comes with a cotton bag, a short guide in twelve languages and the one tool that it takes to open it. '),
       (3, 'Tested in our own workshop for two thousand hours, at temperatures from minus ten to plus forty. '),
       (4, 'Weighs less than its predecessor and takes up half of its place on the shelf. ');

CREATE TEMPORARY TABLE number (i INTEGER PRIMARY KEY);
INSERT INTO number (i)
WITH RECURSIVE counter (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM counter WHERE i < 100000)
SELECT i FROM counter;

INSERT INTO product (id, version, name, description, category_id, brand_id)
SELECT i, 1,
       brand.name || ' ' || adjective.word || ' ' || noun.word || ' ' || i,
       first.words || second.words || third.words,
       1 + i * 31 % 8,
       brand.id
FROM number
JOIN brand ON brand.id = 1 + i * 7 % 11
JOIN adjective ON adjective.id = i * 5 % 7
JOIN noun ON noun.id = i * 3 % 13
JOIN sentence AS first ON first.id = i % 5
JOIN sentence AS second ON second.id = (i + 1 + i / 5 % 2) % 5
JOIN sentence AS third ON third.id = (i + 3 + i / 10 % 2) % 5;

-- A single-piece price and a price for ten in each of three currencies.
INSERT INTO price (product_id, currency, min_quantity, cents)
SELECT i, currency, min_quantity, (499 + i * 7919 % 20000) * percent / 100
FROM number
CROSS JOIN (SELECT 'EUR' AS currency, 1 AS min_quantity, 100 AS percent UNION ALL SELECT 'EUR', 10, 90
            UNION ALL SELECT 'GBP', 1, 86 UNION ALL SELECT 'GBP', 10, 77
            UNION ALL SELECT 'USD', 1, 109 UNION ALL SELECT 'USD', 10, 98);

INSERT INTO stock (product_id, warehouse_id, available)
SELECT i, warehouse.id, i * 6151 * warehouse.id % 250
FROM number CROSS JOIN warehouse;

-- Between 0 and 10 reviews each.
INSERT INTO review (product_id, number, stars, author, body)
SELECT product.i, review.i, 1 + product.i * 13 * review.i % 17 % 5, 'customer ' || (product.i * 37 * review.i % 50021), words
FROM number AS product
JOIN number AS review ON review.i <= product.i * 4409 % 11
JOIN sentence ON sentence.id = (product.i + review.i) % 5;

DROP TABLE temp.number;
DROP TABLE temp.sentence;
DROP TABLE temp.noun;
DROP TABLE temp.adjective;
