CREATE TABLE audit (
  id BIGSERIAL NOT NULL,
  at_us BIGINT NOT NULL,
  who TEXT DEFAULT '' NOT NULL,
  action TEXT NOT NULL,
  detail TEXT DEFAULT '' NOT NULL,
  CONSTRAINT pk_audit PRIMARY KEY (id)
)

CREATE TABLE "grant" (
  channel TEXT NOT NULL,
  name TEXT NOT NULL,
  sealed TEXT NOT NULL,
  ends_us BIGINT,
  signed_in_until_us BIGINT,
  saved_us BIGINT NOT NULL,
  CONSTRAINT pk_grant PRIMARY KEY (channel, name)
)

CREATE TABLE location (
  id BIGSERIAL NOT NULL,
  name TEXT NOT NULL,
  CONSTRAINT pk_location PRIMARY KEY (id),
  CONSTRAINT uq_location_name UNIQUE (name)
)

CREATE TABLE meta (
  key TEXT NOT NULL,
  value TEXT DEFAULT '' NOT NULL,
  CONSTRAINT pk_meta PRIMARY KEY (key)
)

CREATE TABLE rule (
  name TEXT NOT NULL,
  shop_id BIGINT NOT NULL,
  sku_id BIGINT NOT NULL,
  value BIGINT NOT NULL,
  CONSTRAINT pk_rule PRIMARY KEY (name, shop_id, sku_id)
)

CREATE INDEX ix_rule_sku_id ON rule (sku_id)

CREATE TABLE shop (
  id BIGSERIAL NOT NULL,
  name TEXT NOT NULL,
  channel TEXT NOT NULL,
  account TEXT,
  cursor TEXT,
  watermark_us BIGINT DEFAULT 0 NOT NULL,
  orders_began_us BIGINT DEFAULT 0 NOT NULL,
  read_us BIGINT DEFAULT 0 NOT NULL,
  wrote_us BIGINT DEFAULT 0 NOT NULL,
  skew_us BIGINT DEFAULT 0 NOT NULL,
  paused BIGINT DEFAULT 0 NOT NULL,
  started BIGINT DEFAULT 0 NOT NULL,
  status TEXT DEFAULT 'new' NOT NULL,
  status_text TEXT DEFAULT '' NOT NULL,
  key_expires_us BIGINT,
  checked_us BIGINT DEFAULT 0 NOT NULL,
  CONSTRAINT pk_shop PRIMARY KEY (id),
  CONSTRAINT uq_shop_name UNIQUE (name),
  CONSTRAINT uq_shop_channel_account UNIQUE (channel, account)
)

CREATE TABLE sku (
  id BIGSERIAL NOT NULL,
  code TEXT NOT NULL,
  name TEXT DEFAULT '' NOT NULL,
  created_us BIGINT NOT NULL,
  CONSTRAINT pk_sku PRIMARY KEY (id),
  CONSTRAINT uq_sku_code UNIQUE (code)
)

CREATE TABLE alarm (
  id BIGSERIAL NOT NULL,
  kind TEXT NOT NULL,
  shop_id BIGINT,
  subject TEXT DEFAULT '' NOT NULL,
  text TEXT DEFAULT '' NOT NULL,
  since_us BIGINT NOT NULL,
  last_us BIGINT NOT NULL,
  count BIGINT DEFAULT 1 NOT NULL,
  cleared_us BIGINT,
  CONSTRAINT pk_alarm PRIMARY KEY (id),
  CONSTRAINT fk_alarm_shop_id FOREIGN KEY(shop_id) REFERENCES shop (id)
)

CREATE INDEX ix_alarm_open ON alarm (kind, shop_id, subject) WHERE cleared_us IS NULL

CREATE TABLE balance (
  sku_id BIGINT NOT NULL,
  location_id BIGINT NOT NULL,
  on_hand BIGINT DEFAULT 0 NOT NULL,
  ordered BIGINT DEFAULT 0 NOT NULL,
  allocated BIGINT DEFAULT 0 NOT NULL,
  opened_us BIGINT DEFAULT 0 NOT NULL,
  counted_us BIGINT DEFAULT 0 NOT NULL,
  raised_us BIGINT DEFAULT 0 NOT NULL,
  CONSTRAINT pk_balance PRIMARY KEY (sku_id, location_id),
  CONSTRAINT fk_balance_sku_id FOREIGN KEY(sku_id) REFERENCES sku (id),
  CONSTRAINT fk_balance_location_id FOREIGN KEY(location_id) REFERENCES location (id)
)

CREATE INDEX ix_balance_short ON balance (sku_id) WHERE on_hand - allocated - ordered < 0

CREATE TABLE intent (
  id BIGSERIAL NOT NULL,
  shop_id BIGINT NOT NULL,
  route TEXT NOT NULL,
  key TEXT NOT NULL,
  began_us BIGINT NOT NULL,
  dead_us BIGINT NOT NULL,
  state TEXT DEFAULT 'open' NOT NULL,
  note TEXT DEFAULT '' NOT NULL,
  CONSTRAINT pk_intent PRIMARY KEY (id),
  CONSTRAINT uq_intent_key UNIQUE (key),
  CONSTRAINT fk_intent_shop_id FOREIGN KEY(shop_id) REFERENCES shop (id)
)

CREATE INDEX ix_intent_live ON intent (shop_id, id) WHERE state <> 'done'

CREATE TABLE listing (
  id BIGSERIAL NOT NULL,
  shop_id BIGINT NOT NULL,
  key TEXT NOT NULL,
  sku_id BIGINT,
  pack BIGINT DEFAULT 1 NOT NULL,
  state TEXT DEFAULT 'ours' NOT NULL,
  sync BIGINT DEFAULT 1 NOT NULL,
  name TEXT DEFAULT '' NOT NULL,
  jan TEXT DEFAULT '' NOT NULL,
  target BIGINT,
  believed BIGINT,
  base_us BIGINT DEFAULT 0 NOT NULL,
  base_from_us BIGINT DEFAULT 0 NOT NULL,
  unread BIGINT DEFAULT 0 NOT NULL,
  slack BIGINT DEFAULT 0 NOT NULL,
  seen BIGINT,
  seen_us BIGINT DEFAULT 0 NOT NULL,
  seen_from_us BIGINT DEFAULT 0 NOT NULL,
  seen_sold BIGINT DEFAULT 0 NOT NULL,
  seen_slack BIGINT DEFAULT 0 NOT NULL,
  verify BIGINT DEFAULT 0 NOT NULL,
  doubt_us BIGINT,
  exposure BIGINT,
  calls BIGINT DEFAULT 0 NOT NULL,
  lost_us BIGINT,
  back BIGINT DEFAULT 0 NOT NULL,
  proven BIGINT,
  proven_from_us BIGINT DEFAULT 0 NOT NULL,
  proven_us BIGINT DEFAULT 0 NOT NULL,
  proven_sold BIGINT DEFAULT 0 NOT NULL,
  proven_vague BIGINT DEFAULT 0 NOT NULL,
  proven_back BIGINT DEFAULT 0 NOT NULL,
  proven_by_read BIGINT DEFAULT 0 NOT NULL,
  demand_us BIGINT DEFAULT 0 NOT NULL,
  demand_short DOUBLE PRECISION DEFAULT 0 NOT NULL,
  demand_middle DOUBLE PRECISION DEFAULT 0 NOT NULL,
  demand_day DOUBLE PRECISION DEFAULT 0 NOT NULL,
  demand_largest DOUBLE PRECISION DEFAULT 0 NOT NULL,
  held TEXT DEFAULT '' NOT NULL,
  told BIGINT,
  told_us BIGINT DEFAULT 0 NOT NULL,
  error TEXT DEFAULT '' NOT NULL,
  error_us BIGINT DEFAULT 0 NOT NULL,
  CONSTRAINT pk_listing PRIMARY KEY (id),
  CONSTRAINT uq_listing_shop_id_key UNIQUE (shop_id, key),
  CONSTRAINT fk_listing_shop_id FOREIGN KEY(shop_id) REFERENCES shop (id),
  CONSTRAINT fk_listing_sku_id FOREIGN KEY(sku_id) REFERENCES sku (id)
)

CREATE INDEX ix_listing_held ON listing (shop_id) WHERE held <> ''

CREATE INDEX ix_listing_jan ON listing (jan) WHERE jan <> ''

CREATE INDEX ix_listing_seen ON listing (shop_id, id) WHERE seen IS NOT NULL OR unread > 0 OR proven IS NOT NULL

CREATE INDEX ix_listing_sku_id ON listing (sku_id)

CREATE INDEX ix_listing_state ON listing (shop_id, state)

CREATE INDEX ix_listing_unproven ON listing (shop_id, id) WHERE lost_us IS NOT NULL OR exposure IS NULL

CREATE INDEX ix_listing_verify ON listing (shop_id, id) WHERE verify = 1 OR doubt_us IS NOT NULL

CREATE TABLE orders (
  id BIGSERIAL NOT NULL,
  shop_id BIGINT NOT NULL,
  number TEXT NOT NULL,
  placed_us BIGINT,
  as_of_us BIGINT NOT NULL,
  source BIGINT NOT NULL,
  opened BIGINT DEFAULT 0 NOT NULL,
  shipped_us BIGINT,
  open BIGINT DEFAULT 1 NOT NULL,
  first_us BIGINT NOT NULL,
  seen_us BIGINT NOT NULL,
  asked_us BIGINT DEFAULT 0 NOT NULL,
  label TEXT DEFAULT '' NOT NULL,
  ends_hold TEXT DEFAULT '' NOT NULL,
  CONSTRAINT pk_orders PRIMARY KEY (id),
  CONSTRAINT uq_orders_shop_id_number UNIQUE (shop_id, number),
  CONSTRAINT fk_orders_shop_id FOREIGN KEY(shop_id) REFERENCES shop (id)
)

CREATE INDEX ix_orders_ends_hold ON orders (shop_id, ends_hold) WHERE ends_hold <> ''

CREATE INDEX ix_orders_open ON orders (shop_id, id) WHERE open = 1

CREATE TABLE part (
  bundle_id BIGINT NOT NULL,
  part_id BIGINT NOT NULL,
  pieces BIGINT NOT NULL,
  CONSTRAINT pk_part PRIMARY KEY (bundle_id, part_id),
  CONSTRAINT fk_part_bundle_id FOREIGN KEY(bundle_id) REFERENCES sku (id),
  CONSTRAINT fk_part_part_id FOREIGN KEY(part_id) REFERENCES sku (id)
)

CREATE INDEX ix_part_part_id ON part (part_id)

CREATE TABLE stance (
  sku_id BIGINT NOT NULL,
  mode TEXT DEFAULT 'mirror' NOT NULL,
  reserve BIGINT DEFAULT 0 NOT NULL,
  jumps BIGINT DEFAULT 0 NOT NULL,
  watched BIGINT DEFAULT 0 NOT NULL,
  since_us BIGINT DEFAULT 0 NOT NULL,
  sale BIGINT DEFAULT 0 NOT NULL,
  next_us BIGINT,
  blind DOUBLE PRECISION DEFAULT 0 NOT NULL,
  CONSTRAINT pk_stance PRIMARY KEY (sku_id),
  CONSTRAINT fk_stance_sku_id FOREIGN KEY(sku_id) REFERENCES sku (id)
)

CREATE INDEX ix_stance_next ON stance (next_us) WHERE next_us IS NOT NULL

CREATE TABLE intent_row (
  intent_id BIGINT NOT NULL,
  position BIGINT NOT NULL,
  listing_id BIGINT NOT NULL,
  form TEXT NOT NULL,
  quantity BIGINT NOT NULL,
  expected BIGINT,
  version BIGINT NOT NULL,
  target BIGINT NOT NULL,
  delta BIGINT DEFAULT 0 NOT NULL,
  unread BIGINT DEFAULT 0 NOT NULL,
  sold_old BIGINT DEFAULT 0 NOT NULL,
  sold_new BIGINT DEFAULT 0 NOT NULL,
  restocked BIGINT DEFAULT 0 NOT NULL,
  cost BIGINT DEFAULT 0 NOT NULL,
  alone BIGINT DEFAULT 1 NOT NULL,
  receipt TEXT,
  live BIGINT DEFAULT 1 NOT NULL,
  CONSTRAINT pk_intent_row PRIMARY KEY (intent_id, position),
  CONSTRAINT fk_intent_row_intent_id FOREIGN KEY(intent_id) REFERENCES intent (id),
  CONSTRAINT fk_intent_row_listing_id FOREIGN KEY(listing_id) REFERENCES listing (id)
)

CREATE INDEX ix_intent_row_listing ON intent_row (listing_id) WHERE live = 1

CREATE UNIQUE INDEX uq_intent_row_live ON intent_row (listing_id) WHERE live = 1 AND quantity <> 0

CREATE TABLE order_line (
  id BIGSERIAL NOT NULL,
  order_id BIGINT NOT NULL,
  line TEXT NOT NULL,
  listing TEXT NOT NULL,
  listing_id BIGINT,
  location_id BIGINT,
  ordered BIGINT DEFAULT 0 NOT NULL,
  cancelled BIGINT DEFAULT 0 NOT NULL,
  shipped BIGINT DEFAULT 0 NOT NULL,
  returned BIGINT DEFAULT 0 NOT NULL,
  restocked BIGINT,
  pieces TEXT DEFAULT '' NOT NULL,
  booking BIGINT DEFAULT 0 NOT NULL,
  b_held BIGINT DEFAULT 0 NOT NULL,
  b_allocated BIGINT DEFAULT 0 NOT NULL,
  b_gone BIGINT DEFAULT 0 NOT NULL,
  b_restocked BIGINT DEFAULT 0 NOT NULL,
  b_units BIGINT DEFAULT 0 NOT NULL,
  ignored BIGINT DEFAULT 0 NOT NULL,
  own_shipped BIGINT DEFAULT 0 NOT NULL,
  shop_shipped BIGINT DEFAULT 0 NOT NULL,
  accepted_back BIGINT DEFAULT 0 NOT NULL,
  rejected_back BIGINT DEFAULT 0 NOT NULL,
  return_reason TEXT DEFAULT '' NOT NULL,
  CONSTRAINT pk_order_line PRIMARY KEY (id),
  CONSTRAINT uq_order_line_order_id_line UNIQUE (order_id, line),
  CONSTRAINT fk_order_line_order_id FOREIGN KEY(order_id) REFERENCES orders (id),
  CONSTRAINT fk_order_line_listing_id FOREIGN KEY(listing_id) REFERENCES listing (id),
  CONSTRAINT fk_order_line_location_id FOREIGN KEY(location_id) REFERENCES location (id)
)

CREATE INDEX ix_order_line_held ON order_line (listing_id) WHERE b_held > 0

CREATE INDEX ix_order_line_returned ON order_line (id) WHERE returned > accepted_back + rejected_back

CREATE INDEX ix_order_line_unbooked ON order_line (listing) WHERE pieces = ''

CREATE TABLE outbox (
  listing_id BIGINT NOT NULL,
  shop_id BIGINT NOT NULL,
  lane BIGINT NOT NULL,
  due_us BIGINT NOT NULL,
  since_us BIGINT NOT NULL,
  version BIGINT DEFAULT 1 NOT NULL,
  attempts BIGINT DEFAULT 0 NOT NULL,
  not_before_us BIGINT DEFAULT 0 NOT NULL,
  alone BIGINT DEFAULT 0 NOT NULL,
  CONSTRAINT pk_outbox PRIMARY KEY (listing_id),
  CONSTRAINT fk_outbox_listing_id FOREIGN KEY(listing_id) REFERENCES listing (id),
  CONSTRAINT fk_outbox_shop_id FOREIGN KEY(shop_id) REFERENCES shop (id)
)

CREATE INDEX ix_outbox_due ON outbox (shop_id, lane, due_us)

CREATE INDEX ix_outbox_tried ON outbox (shop_id, not_before_us) WHERE not_before_us > 0

CREATE TABLE shipment (
  id BIGSERIAL NOT NULL,
  shop_id BIGINT NOT NULL,
  order_id BIGINT NOT NULL,
  parcel TEXT NOT NULL,
  carrier TEXT NOT NULL,
  carrier_name TEXT DEFAULT '' NOT NULL,
  tracking TEXT DEFAULT '' NOT NULL,
  shipped_us BIGINT NOT NULL,
  state TEXT NOT NULL,
  note TEXT DEFAULT '' NOT NULL,
  whole BIGINT DEFAULT 1 NOT NULL,
  alone BIGINT DEFAULT 0 NOT NULL,
  attempts BIGINT DEFAULT 0 NOT NULL,
  not_before_us BIGINT DEFAULT 0 NOT NULL,
  doubt_us BIGINT DEFAULT 0 NOT NULL,
  created_us BIGINT NOT NULL,
  changed_us BIGINT NOT NULL,
  who TEXT DEFAULT '' NOT NULL,
  CONSTRAINT pk_shipment PRIMARY KEY (id),
  CONSTRAINT uq_shipment_order_id_parcel UNIQUE (order_id, parcel),
  CONSTRAINT fk_shipment_shop_id FOREIGN KEY(shop_id) REFERENCES shop (id),
  CONSTRAINT fk_shipment_order_id FOREIGN KEY(order_id) REFERENCES orders (id)
)

CREATE INDEX ix_shipment_live ON shipment (shop_id, id) WHERE state IN ('queued', 'sent', 'in_doubt', 'refused')

CREATE TABLE entry (
  id BIGSERIAL NOT NULL,
  at_us BIGINT NOT NULL,
  sku_id BIGINT NOT NULL,
  location_id BIGINT NOT NULL,
  kind TEXT NOT NULL,
  on_hand BIGINT DEFAULT 0 NOT NULL,
  ordered BIGINT DEFAULT 0 NOT NULL,
  allocated BIGINT DEFAULT 0 NOT NULL,
  line_id BIGINT,
  booking BIGINT DEFAULT 0 NOT NULL,
  key TEXT,
  who TEXT DEFAULT '' NOT NULL,
  note TEXT DEFAULT '' NOT NULL,
  CONSTRAINT pk_entry PRIMARY KEY (id),
  CONSTRAINT fk_entry_sku_id FOREIGN KEY(sku_id) REFERENCES sku (id),
  CONSTRAINT fk_entry_location_id FOREIGN KEY(location_id) REFERENCES location (id),
  CONSTRAINT fk_entry_line_id FOREIGN KEY(line_id) REFERENCES order_line (id)
)

CREATE INDEX ix_entry_sku_id ON entry (sku_id, id)

CREATE UNIQUE INDEX uq_entry_key ON entry (key, sku_id) WHERE key IS NOT NULL

CREATE UNIQUE INDEX uq_entry_line ON entry (line_id, booking, sku_id) WHERE line_id IS NOT NULL

CREATE TABLE shipment_line (
  shipment_id BIGINT NOT NULL,
  line_id BIGINT NOT NULL,
  units BIGINT NOT NULL,
  expected BIGINT DEFAULT 0 NOT NULL,
  CONSTRAINT pk_shipment_line PRIMARY KEY (shipment_id, line_id),
  CONSTRAINT fk_shipment_line_shipment_id FOREIGN KEY(shipment_id) REFERENCES shipment (id),
  CONSTRAINT fk_shipment_line_line_id FOREIGN KEY(line_id) REFERENCES order_line (id)
)

CREATE INDEX ix_shipment_line_line_id ON shipment_line (line_id)
