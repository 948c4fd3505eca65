-- What has waited longest is found where it stands, whatever waits behind it: the probe of a sender in trouble tries it, upkeep ends it.
CREATE INDEX channel_deliveries_open_since ON channel_deliveries (created_at) WHERE state = 'open';
CREATE INDEX channel_deliveries_waiting_until ON channel_deliveries (expires_at) WHERE state = 'waiting';
