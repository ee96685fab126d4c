-- Each delivery leaves a dead row when its outcome is written, and claims walk past what dead rows left in the indices of what waits.
-- By PostgreSQL's default they are cleared away when they are a fifth of the table, which keeps a month of deliveries: that is millions.
/*pg ALTER TABLE deliveries SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 20000) */;
