CREATE TABLE category (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE brand (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE warehouse (id INTEGER PRIMARY KEY, name TEXT NOT NULL);

CREATE TABLE product (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    category_id INTEGER NOT NULL REFERENCES category (id),
    brand_id INTEGER NOT NULL REFERENCES brand (id)
);

-- The tables below are clustered by product, so that a page touches one or two leaves of each.
CREATE TABLE price (
    product_id INTEGER NOT NULL REFERENCES product (id),
    currency TEXT NOT NULL,
    min_quantity INTEGER NOT NULL,
    cents INTEGER NOT NULL,
    PRIMARY KEY (product_id, currency, min_quantity)
) WITHOUT ROWID;

CREATE TABLE stock (
    product_id INTEGER NOT NULL REFERENCES product (id),
    warehouse_id INTEGER NOT NULL REFERENCES warehouse (id),
    available INTEGER NOT NULL,
    PRIMARY KEY (product_id, warehouse_id)
) WITHOUT ROWID;

CREATE TABLE review (
    product_id INTEGER NOT NULL REFERENCES product (id),
    number INTEGER NOT NULL,
    stars INTEGER NOT NULL,
    author TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (product_id, number)
) WITHOUT ROWID;
