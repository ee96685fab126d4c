-- The reference warehouse: one table per noun, all named wms_. Its goods owners are Dockbell's own.
-- Quantities are whole items.

-- Numbers of different nouns begin far apart: an id in a log tells what it is the id of.
INSERT INTO counters (name, value) VALUES
  ('wms article', 3000), ('wms order', 50162), ('wms order line', 700000), ('wms parcel', 9000);

CREATE TABLE wms_goods_owner_classes (
  id BIGINT PRIMARY KEY,
  goods_owner_id BIGINT NOT NULL REFERENCES goods_owners (id),
  code TEXT NOT NULL,
  name TEXT NOT NULL
);
CREATE INDEX wms_classes_of_goods_owner ON wms_goods_owner_classes (goods_owner_id, id);

-- {number} in tracking_url stands for a waybill or parcel number.
CREATE TABLE wms_transporters (
  code TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  tracking_url TEXT NOT NULL
);

CREATE TABLE wms_order_types (
  code TEXT PRIMARY KEY,
  name TEXT NOT NULL
);

-- number_of_items is what lies on the shelves; allocated is the part of it set aside for orders.
CREATE TABLE wms_articles (
  id BIGINT PRIMARY KEY,
  goods_owner_id BIGINT NOT NULL REFERENCES goods_owners (id),
  number TEXT NOT NULL,
  name TEXT NOT NULL,
  details TEXT NOT NULL,
  number_of_items BIGINT NOT NULL DEFAULT 0,
  allocated BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,
  UNIQUE (goods_owner_id, number),
  CHECK (0 <= allocated AND allocated <= number_of_items)
);

CREATE TABLE wms_orders (
  id BIGINT PRIMARY KEY,
  goods_owner_id BIGINT NOT NULL REFERENCES goods_owners (id),
  number TEXT NOT NULL,
  goods_owner_order_id TEXT,
  consignee_order_number TEXT,
  transporter TEXT REFERENCES wms_transporters (code),
  transporter_service TEXT,
  order_type TEXT REFERENCES wms_order_types (code),
  delivery_date TEXT NOT NULL,
  consignee TEXT NOT NULL,
  details TEXT NOT NULL,
  status BIGINT NOT NULL,
  status_changed_at BIGINT NOT NULL,
  shipment_id BIGINT,
  waybill TEXT,
  shipped_at BIGINT,
  created_at BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,
  UNIQUE (goods_owner_id, number)
);
CREATE INDEX wms_orders_of_goods_owner ON wms_orders (goods_owner_id, id);

CREATE TABLE wms_order_lines (
  id BIGINT PRIMARY KEY,
  order_id BIGINT NOT NULL REFERENCES wms_orders (id),
  row_number TEXT NOT NULL,
  article_id BIGINT NOT NULL REFERENCES wms_articles (id),
  comment TEXT,
  ordered BIGINT NOT NULL,
  allocated BIGINT NOT NULL DEFAULT 0,
  picked BIGINT NOT NULL DEFAULT 0,
  packed BIGINT NOT NULL DEFAULT 0,
  UNIQUE (order_id, row_number),
  CHECK (0 <= packed AND packed <= picked AND picked <= allocated AND allocated <= ordered)
);

CREATE TABLE wms_parcels (
  id BIGINT PRIMARY KEY,
  order_id BIGINT NOT NULL REFERENCES wms_orders (id),
  number TEXT NOT NULL,
  is_return BIGINT NOT NULL CHECK (is_return IN (0, 1)),
  tracking_url TEXT
);
CREATE INDEX wms_parcels_of_order ON wms_parcels (order_id, id);

CREATE TABLE wms_trackings (
  order_id BIGINT NOT NULL REFERENCES wms_orders (id),
  waybill TEXT NOT NULL,
  tracking_url TEXT,
  is_return BIGINT NOT NULL CHECK (is_return IN (0, 1)),
  created_at BIGINT NOT NULL,
  PRIMARY KEY (order_id, waybill)
);
