-- The account's own, an IANA name as Stripe gives it; none of connections that were made before this was kept.
ALTER TABLE connections ADD COLUMN time_zone TEXT;
