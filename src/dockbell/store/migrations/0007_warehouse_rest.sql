-- What the rest of the documented API keeps: a ledger of stock, invoices, waybill rows, advised items, more lists to choose from.

INSERT INTO counters (name, value) VALUES ('wms waybill row', 4000), ('wms invoice', 70000), ('wms charge', 200000);

INSERT INTO wms_kinds (noun, id, code, name, rank) VALUES
  ('way of delivery', 1, 'HOME', 'To the door', NULL), ('way of delivery', 2, 'SERVICEPOINT', 'To a pickup point', NULL),
  ('order class', 21, 'GIFT', 'Gift wrapping', NULL), ('order class', 22, 'VIP', 'Important customer', NULL),
  ('article class', 31, 'FRAGILE', 'Breaks easily', NULL), ('article class', 32, 'FOOD', 'Food', NULL);

ALTER TABLE wms_orders ADD COLUMN way_of_delivery TEXT;
ALTER TABLE wms_orders ADD COLUMN market_place TEXT;
ALTER TABLE wms_orders ADD COLUMN market_place_number TEXT;
ALTER TABLE wms_orders ADD COLUMN class_ids TEXT NOT NULL DEFAULT '[]';
ALTER TABLE wms_orders ADD COLUMN back_order_for BIGINT;
ALTER TABLE wms_orders ADD COLUMN printed_at BIGINT;

ALTER TABLE wms_articles ADD COLUMN dangerous_goods TEXT;

CREATE TABLE wms_article_classes (
  article_id BIGINT NOT NULL REFERENCES wms_articles (id),
  class_id BIGINT NOT NULL,
  PRIMARY KEY (article_id, class_id)
);

-- What the order's waybill lists: packages of one kind. measures is an object of decimals.
CREATE TABLE wms_waybill_rows (
  id BIGINT PRIMARY KEY,
  order_id BIGINT NOT NULL REFERENCES wms_orders (id),
  type_id BIGINT NOT NULL,
  number_of_packages BIGINT NOT NULL,
  approved BIGINT,
  measures TEXT NOT NULL,
  comment TEXT,
  category TEXT
);
CREATE INDEX wms_waybill_rows_of_order ON wms_waybill_rows (order_id, id);

-- What the supplier says the goods of a line will be.
CREATE TABLE wms_advised_items (
  purchase_order_line_id BIGINT NOT NULL REFERENCES wms_purchase_order_lines (id),
  place BIGINT NOT NULL,
  number_of_items BIGINT NOT NULL CHECK (number_of_items > 0),
  serial TEXT NOT NULL,
  batch TEXT NOT NULL,
  expiry_date TEXT,
  comment TEXT NOT NULL,
  container TEXT NOT NULL,
  PRIMARY KEY (purchase_order_line_id, place)
);

-- Every change of what lies on the shelves, never written over: the sum up to a moment is the stock of that moment.
CREATE TABLE wms_stock_changes (
  article_id BIGINT NOT NULL REFERENCES wms_articles (id),
  warehouse_id BIGINT NOT NULL REFERENCES wms_warehouses (id),
  batch TEXT NOT NULL,
  serial TEXT NOT NULL,
  number_of_items BIGINT NOT NULL,
  reason TEXT NOT NULL CHECK (reason IN ('carried over', 'received', 'picked', 'returned', 'adjusted', 'moved')),
  order_id BIGINT REFERENCES wms_orders (id),
  purchase_order_id BIGINT REFERENCES wms_purchase_orders (id),
  made_at BIGINT NOT NULL
);
CREATE INDEX wms_stock_changes_of_article ON wms_stock_changes (article_id, made_at);

-- Of the time before there was a ledger, what still lies there is known, and since when.
INSERT INTO wms_stock_changes (article_id, warehouse_id, batch, serial, number_of_items, reason, made_at)
  SELECT i.article_id, coalesce(l.warehouse_id, 1), i.batch, i.serial, i.number_of_items, 'carried over', i.in_at
    FROM wms_article_items i LEFT JOIN wms_locations l ON l.id = i.location_id WHERE i.state IN ('free', 'allocated');

-- The price list, in hundredths: what one of each costs a goods owner.
CREATE TABLE wms_invoice_articles (
  id BIGINT PRIMARY KEY,
  code TEXT NOT NULL UNIQUE,
  title TEXT NOT NULL,
  account TEXT NOT NULL,
  price BIGINT NOT NULL
);
INSERT INTO wms_invoice_articles (id, code, title, account, price) VALUES
  (1, 'ORDER', 'Order sent', '3010', 2500), (2, 'PICK', 'Item picked', '3011', 300),
  (3, 'PARCEL', 'Parcel sent', '3012', 1200), (4, 'IN', 'Item received', '3020', 150),
  (5, 'RETURN', 'Item taken back', '3030', 450);

CREATE TABLE wms_invoices (
  id BIGINT PRIMARY KEY,
  goods_owner_id BIGINT NOT NULL REFERENCES goods_owners (id),
  month TEXT NOT NULL,
  made_at BIGINT NOT NULL,
  UNIQUE (goods_owner_id, month)
);

CREATE TABLE wms_charges (
  id BIGINT PRIMARY KEY,
  invoice_id BIGINT NOT NULL REFERENCES wms_invoices (id),
  invoice_article_id BIGINT NOT NULL REFERENCES wms_invoice_articles (id),
  number_of_items BIGINT NOT NULL,
  price BIGINT NOT NULL,
  order_id BIGINT REFERENCES wms_orders (id),
  purchase_order_id BIGINT REFERENCES wms_purchase_orders (id),
  done_at BIGINT NOT NULL
);
CREATE INDEX wms_charges_of_invoice ON wms_charges (invoice_id, id);
CREATE INDEX wms_charges_of_order ON wms_charges (order_id, id) WHERE order_id IS NOT NULL;
