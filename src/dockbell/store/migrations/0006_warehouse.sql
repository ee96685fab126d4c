-- The whole reference warehouse: places, stock by article item, goods in, work on the floor, goods out, files.
-- Quantities are whole items; moments are microseconds, dates of the business are text as it came.

INSERT INTO counters (name, value) VALUES
  ('wms article item', 800000), ('wms pick order', 9041), ('wms purchase order', 246), ('wms purchase order line', 5400),
  ('wms inventory', 106), ('wms movement', 33000), ('wms pallet movement', 5500), ('wms work order', 7000),
  ('wms shipment', 3300), ('wms production order', 800), ('wms return order', 600), ('wms file', 990);

-- --- What everything refers to -----------------------------------------------------------------------------

CREATE TABLE wms_warehouses (
  id BIGINT PRIMARY KEY,
  code TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL
);

-- Short lists to choose from, of one shape: types and causes. rank is the priority of a movement's type.
CREATE TABLE wms_kinds (
  noun TEXT NOT NULL,
  id BIGINT NOT NULL,
  code TEXT NOT NULL,
  name TEXT NOT NULL,
  rank BIGINT,
  PRIMARY KEY (noun, id),
  UNIQUE (noun, code)
);

CREATE TABLE wms_item_statuses (
  id BIGINT PRIMARY KEY,
  code TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  is_locked BIGINT NOT NULL CHECK (is_locked IN (0, 1)),
  is_locked_for_sale BIGINT NOT NULL CHECK (is_locked_for_sale IN (0, 1))
);

CREATE TABLE wms_locations (
  id BIGINT PRIMARY KEY,
  warehouse_id BIGINT NOT NULL REFERENCES wms_warehouses (id),
  name TEXT NOT NULL,
  type_id BIGINT NOT NULL,
  aisle TEXT NOT NULL,
  zone TEXT NOT NULL,
  is_locked BIGINT NOT NULL DEFAULT 0 CHECK (is_locked IN (0, 1)),
  is_locked_for_sale BIGINT NOT NULL DEFAULT 0 CHECK (is_locked_for_sale IN (0, 1)),
  UNIQUE (warehouse_id, name)
);

CREATE TABLE wms_computers (
  id BIGINT PRIMARY KEY,
  name TEXT NOT NULL
);

CREATE TABLE wms_users (
  id BIGINT PRIMARY KEY,
  name TEXT NOT NULL
);

INSERT INTO wms_warehouses (id, code, name) VALUES (1, 'GBG', 'Gothenburg');

INSERT INTO wms_item_statuses (id, code, name, is_locked, is_locked_for_sale) VALUES
  (1, 'OK', 'Available', 0, 0), (2, 'QUAR', 'Quarantine', 1, 1), (3, 'DMG', 'Damaged', 0, 1);

INSERT INTO wms_kinds (noun, id, code, name, rank) VALUES
  ('location type', 1, 'PICK', 'Picking', NULL), ('location type', 2, 'BUFFER', 'Buffer', NULL),
  ('location type', 3, 'IN', 'Goods in', NULL), ('location type', 4, 'OUT', 'Goods out', NULL),
  ('location type', 5, 'RETURN', 'Returns', NULL),
  ('pick order type', 1, 'SINGLE', 'One order', NULL), ('pick order type', 2, 'BATCH', 'Several orders', NULL),
  ('purchase order type', 1, 'STD', 'Ordinary', NULL), ('purchase order type', 2, 'RET', 'Return', NULL),
  ('purchase order class', 5, 'SEA', 'Sea freight', NULL), ('purchase order class', 6, 'ROAD', 'Road freight', NULL),
  ('production order type', 1, 'KIT', 'Set put together', NULL),
  ('return cause', 1, 'REGRET', 'Changed their mind', NULL), ('return cause', 4, 'DMG', 'Damaged in transport', NULL),
  ('return cause', 5, 'WRONG', 'Wrong article sent', NULL),
  ('adjustment cause', 1, 'COUNT', 'Found in a count', NULL), ('adjustment cause', 6, 'BROKEN', 'Broken', NULL),
  ('adjustment cause', 7, 'LOST', 'Lost', NULL), ('adjustment cause', 8, 'RETURN', 'Returned goods taken out', NULL),
  ('adjustment cause', 9, 'PROD', 'Used or made in production', NULL),
  ('movement type', 1, 'REPLENISH', 'Fill up a picking place', 2), ('movement type', 2, 'PUTAWAY', 'Put away', 5),
  ('pallet movement type', 1, 'PUTAWAY', 'Put away', NULL), ('pallet movement type', 2, 'OUT', 'To goods out', NULL),
  ('pallet type', 1, 'EUR', 'Pallet, 1200 x 800', NULL), ('pallet type', 3, 'BOX-M', 'Box, medium', NULL);

INSERT INTO wms_locations (id, warehouse_id, name, type_id, aisle, zone, is_locked, is_locked_for_sale) VALUES
  (100, 1, 'IN-01', 3, 'IN', 'Goods in', 0, 0), (311, 1, 'A15', 1, 'A', 'Picking', 0, 0),
  (312, 1, 'A16', 1, 'A', 'Picking', 0, 0), (313, 1, 'A17', 1, 'A', 'Picking', 0, 0),
  (321, 1, 'B01', 1, 'B', 'Picking', 0, 0), (322, 1, 'B02', 1, 'B', 'Picking', 0, 0),
  (900, 1, 'BUF-07', 2, 'BUF', 'Buffer', 0, 0), (901, 1, 'BUF-08', 2, 'BUF', 'Buffer', 0, 0),
  (940, 1, 'RET-01', 5, 'RET', 'Returns', 0, 1), (950, 1, 'PACK-OUT', 4, 'OUT', 'Goods out', 0, 0);

-- --- Goods owners' articles --------------------------------------------------------------------------------

ALTER TABLE wms_articles ADD COLUMN deleted_at BIGINT;
ALTER TABLE wms_articles ADD COLUMN stock_changed_at BIGINT NOT NULL DEFAULT 0;

-- --- Shipments, goods in -----------------------------------------------------------------------------------

CREATE TABLE wms_shipments (
  id BIGINT PRIMARY KEY,
  goods_owner_id BIGINT NOT NULL REFERENCES goods_owners (id),
  direction TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound')),
  number TEXT NOT NULL,
  transporter TEXT REFERENCES wms_transporters (code),
  warehouse_id BIGINT NOT NULL REFERENCES wms_warehouses (id),
  country_code TEXT,
  status BIGINT NOT NULL,
  status_changed_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (goods_owner_id, number)
);
CREATE INDEX wms_shipments_of_goods_owner ON wms_shipments (goods_owner_id, id);

CREATE TABLE wms_purchase_orders (
  id BIGINT PRIMARY KEY,
  goods_owner_id BIGINT NOT NULL REFERENCES goods_owners (id),
  number TEXT NOT NULL,
  goods_owner_purchase_order_id TEXT,
  supplier TEXT,
  supplier_name TEXT,
  type_id BIGINT,
  warehouse_id BIGINT NOT NULL REFERENCES wms_warehouses (id),
  is_return BIGINT NOT NULL CHECK (is_return IN (0, 1)),
  in_date TEXT,
  class_ids TEXT NOT NULL,
  details TEXT NOT NULL,
  status BIGINT NOT NULL,
  status_changed_at BIGINT NOT NULL,
  last_received_at BIGINT,
  shipment_id BIGINT REFERENCES wms_shipments (id),
  created_at BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,
  UNIQUE (goods_owner_id, number)
);
CREATE INDEX wms_purchase_orders_of_goods_owner ON wms_purchase_orders (goods_owner_id, id);

CREATE TABLE wms_purchase_order_lines (
  id BIGINT PRIMARY KEY,
  purchase_order_id BIGINT NOT NULL REFERENCES wms_purchase_orders (id),
  row_number TEXT NOT NULL,
  article_id BIGINT NOT NULL REFERENCES wms_articles (id),
  comment TEXT,
  advised BIGINT NOT NULL,
  received BIGINT NOT NULL DEFAULT 0,
  reported BIGINT,
  UNIQUE (purchase_order_id, row_number),
  CHECK (0 < advised AND 0 <= received)
);

-- --- Pallets and parcels -----------------------------------------------------------------------------------

-- A parcel is a pallet item of an order. measures is an object of decimals.
CREATE TABLE wms_pallet_items (
  id BIGINT PRIMARY KEY,
  goods_owner_id BIGINT NOT NULL REFERENCES goods_owners (id),
  label TEXT NOT NULL,
  serial TEXT NOT NULL DEFAULT '',
  comment TEXT NOT NULL DEFAULT '',
  measures TEXT NOT NULL DEFAULT '{}',
  type_id BIGINT,
  location_id BIGINT REFERENCES wms_locations (id),
  parent_id BIGINT REFERENCES wms_pallet_items (id),
  order_id BIGINT REFERENCES wms_orders (id),
  shipment_id BIGINT REFERENCES wms_shipments (id),
  purchase_order_id BIGINT REFERENCES wms_purchase_orders (id),
  is_return BIGINT NOT NULL DEFAULT 0 CHECK (is_return IN (0, 1)),
  is_closed BIGINT NOT NULL DEFAULT 0 CHECK (is_closed IN (0, 1)),
  tracking_url TEXT,
  in_at BIGINT NOT NULL,
  out_at BIGINT
);
CREATE INDEX wms_pallet_items_of_order ON wms_pallet_items (order_id, id);
CREATE INDEX wms_pallet_items_of_goods_owner ON wms_pallet_items (goods_owner_id, id);
INSERT INTO wms_pallet_items (id, goods_owner_id, label, type_id, location_id, order_id, is_return, tracking_url, in_at)
  SELECT p.id, o.goods_owner_id, p.number, 3, 950, p.order_id, p.is_return, p.tracking_url, o.changed_at
    FROM wms_parcels p JOIN wms_orders o ON o.id = p.order_id;
DROP TABLE wms_parcels;

-- --- Orders ------------------------------------------------------------------------------------------------

ALTER TABLE wms_orders ADD COLUMN warehouse_id BIGINT NOT NULL DEFAULT 1;
ALTER TABLE wms_orders ADD COLUMN return_waybill TEXT;
ALTER TABLE wms_orders ADD COLUMN last_returned_at BIGINT;
ALTER TABLE wms_order_lines ADD COLUMN returned BIGINT NOT NULL DEFAULT 0;
ALTER TABLE wms_order_lines ADD COLUMN reported BIGINT;
CREATE INDEX wms_orders_of_shipment ON wms_orders (shipment_id) WHERE shipment_id IS NOT NULL;

CREATE TABLE wms_return_orders (
  id BIGINT PRIMARY KEY,
  goods_owner_id BIGINT NOT NULL REFERENCES goods_owners (id),
  number TEXT NOT NULL,
  order_id BIGINT NOT NULL REFERENCES wms_orders (id),
  comment TEXT,
  in_date TEXT,
  status BIGINT NOT NULL,
  status_changed_at BIGINT NOT NULL,
  last_returned_at BIGINT,
  created_at BIGINT NOT NULL,
  UNIQUE (goods_owner_id, number)
);
CREATE INDEX wms_return_orders_of_order ON wms_return_orders (order_id, id);

CREATE TABLE wms_return_order_lines (
  return_order_id BIGINT NOT NULL REFERENCES wms_return_orders (id),
  order_line_id BIGINT NOT NULL REFERENCES wms_order_lines (id),
  cause_id BIGINT,
  to_be_returned BIGINT NOT NULL,
  returned BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (return_order_id, order_line_id)
);

-- --- Stock -------------------------------------------------------------------------------------------------

-- One quantity of one article in one place. state: 'free', 'allocated' to order_line_id, 'picked' or 'packed' for it,
-- or 'gone'. Free and allocated items lie on the shelves: their sum is the article's number_of_items, and the allocated
-- ones' sum its allocated. received: how many there were when it came in; NULL for what was split off later. Whoever changes stock holds the article's row first.
CREATE TABLE wms_article_items (
  id BIGINT PRIMARY KEY,
  original_id BIGINT NOT NULL,
  article_id BIGINT NOT NULL REFERENCES wms_articles (id),
  location_id BIGINT REFERENCES wms_locations (id),
  status_id BIGINT NOT NULL REFERENCES wms_item_statuses (id),
  serial TEXT NOT NULL DEFAULT '',
  batch TEXT NOT NULL DEFAULT '',
  expiry_date TEXT,
  comment TEXT NOT NULL DEFAULT '',
  container TEXT NOT NULL DEFAULT '',
  number_of_items BIGINT NOT NULL CHECK (number_of_items >= 0),
  received BIGINT,
  state TEXT NOT NULL CHECK (state IN ('free', 'allocated', 'picked', 'packed', 'gone')),
  order_line_id BIGINT REFERENCES wms_order_lines (id),
  pallet_item_id BIGINT REFERENCES wms_pallet_items (id),
  purchase_order_line_id BIGINT REFERENCES wms_purchase_order_lines (id),
  returned_line_id BIGINT REFERENCES wms_order_lines (id),
  return_cause_id BIGINT,
  returned_at BIGINT,
  in_at BIGINT NOT NULL,
  picked_at BIGINT,
  packed_at BIGINT,
  CHECK ((order_line_id IS NULL) = (state IN ('free', 'gone')))
);
CREATE INDEX wms_article_items_on_shelf ON wms_article_items (article_id, id) WHERE state IN ('free', 'allocated');
CREATE INDEX wms_article_items_of_line ON wms_article_items (order_line_id, id) WHERE order_line_id IS NOT NULL;
CREATE INDEX wms_article_items_returned ON wms_article_items (returned_line_id) WHERE returned_line_id IS NOT NULL;
CREATE INDEX wms_article_items_received ON wms_article_items (purchase_order_line_id) WHERE purchase_order_line_id IS NOT NULL;
CREATE INDEX wms_article_items_on_pallet ON wms_article_items (pallet_item_id) WHERE pallet_item_id IS NOT NULL;

-- Stock that was there before items were told apart lies in A15; the ids of articles and lines are used for it.
INSERT INTO wms_article_items (id, original_id, article_id, location_id, status_id, number_of_items, state, in_at)
  SELECT a.id, a.id, a.id, 311, 1, a.number_of_items - a.allocated, 'free', a.created_at
    FROM wms_articles a WHERE a.number_of_items > a.allocated;
INSERT INTO wms_article_items (id, original_id, article_id, location_id, status_id, number_of_items, state, order_line_id, in_at)
  SELECT l.id, l.article_id, l.article_id, 311, 1, l.allocated - l.picked, 'allocated', l.id, o.created_at
    FROM wms_order_lines l JOIN wms_orders o ON o.id = l.order_id WHERE l.allocated > l.picked;
INSERT INTO wms_article_items (id, original_id, article_id, status_id, number_of_items, state, order_line_id, in_at, picked_at)
  SELECT l.id - 690000, l.article_id, l.article_id, 1, l.picked - l.packed, 'picked', l.id, o.created_at, o.changed_at
    FROM wms_order_lines l JOIN wms_orders o ON o.id = l.order_id WHERE l.picked > l.packed;
INSERT INTO wms_article_items (id, original_id, article_id, status_id, number_of_items, state, order_line_id, in_at, picked_at, packed_at)
  SELECT l.id - 600000, l.article_id, l.article_id, 1, l.packed, 'packed', l.id, o.created_at, o.changed_at, o.changed_at
    FROM wms_order_lines l JOIN wms_orders o ON o.id = l.order_id WHERE l.packed > 0;

CREATE TABLE wms_inventories (
  id BIGINT PRIMARY KEY,
  goods_owner_id BIGINT NOT NULL REFERENCES goods_owners (id),
  is_count BIGINT NOT NULL CHECK (is_count IN (0, 1)),
  comment TEXT NOT NULL DEFAULT '',
  created_at BIGINT NOT NULL
);
CREATE INDEX wms_inventories_of_goods_owner ON wms_inventories (goods_owner_id, created_at, id);

CREATE TABLE wms_inventory_lines (
  inventory_id BIGINT NOT NULL REFERENCES wms_inventories (id),
  place BIGINT NOT NULL,
  article_id BIGINT NOT NULL REFERENCES wms_articles (id),
  article_item_id BIGINT NOT NULL REFERENCES wms_article_items (id),
  number_of_items BIGINT NOT NULL,
  cause_id BIGINT,
  comment TEXT NOT NULL DEFAULT '',
  returned_order_id BIGINT REFERENCES wms_orders (id),
  reported_at BIGINT,
  PRIMARY KEY (inventory_id, place)
);

-- --- Work on the floor -------------------------------------------------------------------------------------

CREATE TABLE wms_pick_orders (
  id BIGINT PRIMARY KEY,
  goods_owner_id BIGINT NOT NULL REFERENCES goods_owners (id),
  type_id BIGINT NOT NULL,
  warehouse_id BIGINT NOT NULL REFERENCES wms_warehouses (id),
  pick_started_at BIGINT,
  pick_finished_at BIGINT,
  pack_started_at BIGINT,
  pack_finished_at BIGINT,
  executed_at BIGINT,
  created_at BIGINT NOT NULL
);
CREATE INDEX wms_pick_orders_of_goods_owner ON wms_pick_orders (goods_owner_id, id);

CREATE TABLE wms_pick_order_orders (
  order_id BIGINT PRIMARY KEY REFERENCES wms_orders (id),
  pick_order_id BIGINT NOT NULL REFERENCES wms_pick_orders (id)
);
CREATE INDEX wms_orders_of_pick_order ON wms_pick_order_orders (pick_order_id, order_id);

-- Of an article item, or of a whole pallet item: one of the two ids is there.
CREATE TABLE wms_movements (
  noun TEXT NOT NULL CHECK (noun IN ('movement order', 'movement pallet item')),
  id BIGINT NOT NULL,
  work_order_id BIGINT NOT NULL,
  goods_owner_id BIGINT NOT NULL REFERENCES goods_owners (id),
  article_item_id BIGINT REFERENCES wms_article_items (id),
  pallet_item_id BIGINT REFERENCES wms_pallet_items (id),
  to_location_id BIGINT NOT NULL REFERENCES wms_locations (id),
  type_id BIGINT,
  assigned_user_id BIGINT,
  is_started BIGINT NOT NULL DEFAULT 0 CHECK (is_started IN (0, 1)),
  is_executed BIGINT NOT NULL DEFAULT 0 CHECK (is_executed IN (0, 1)),
  order_id BIGINT REFERENCES wms_orders (id),
  created_at BIGINT NOT NULL,
  PRIMARY KEY (noun, id)
);
CREATE INDEX wms_movements_of_goods_owner ON wms_movements (goods_owner_id, noun, id);

CREATE TABLE wms_production_orders (
  id BIGINT PRIMARY KEY,
  goods_owner_id BIGINT NOT NULL REFERENCES goods_owners (id),
  number TEXT NOT NULL,
  type_id BIGINT,
  warehouse_id BIGINT NOT NULL REFERENCES wms_warehouses (id),
  article_id BIGINT NOT NULL REFERENCES wms_articles (id),
  number_of_items BIGINT NOT NULL CHECK (number_of_items > 0),
  status BIGINT NOT NULL,
  status_changed_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (goods_owner_id, number)
);
CREATE INDEX wms_production_orders_of_goods_owner ON wms_production_orders (goods_owner_id, id);

-- What one made item takes.
CREATE TABLE wms_production_order_parts (
  production_order_id BIGINT NOT NULL REFERENCES wms_production_orders (id),
  article_id BIGINT NOT NULL REFERENCES wms_articles (id),
  number_of_items BIGINT NOT NULL CHECK (number_of_items > 0),
  PRIMARY KEY (production_order_id, article_id)
);

-- --- Files -------------------------------------------------------------------------------------------------

-- Attached to one thing: noun and object_id name it.
CREATE TABLE wms_files (
  id BIGINT PRIMARY KEY,
  goods_owner_id BIGINT NOT NULL REFERENCES goods_owners (id),
  noun TEXT NOT NULL CHECK (noun IN ('order', 'purchase order', 'shipment', 'article')),
  object_id BIGINT NOT NULL,
  name TEXT NOT NULL,
  mime_type TEXT NOT NULL,
  content TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (noun, object_id, name)
);
