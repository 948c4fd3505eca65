-- With which secret key a hash or a seal was made. A start that has lost a key on which rows hang would forget every STOP in silence, so it is refused.

-- The keys that this database has been used with.
CREATE TABLE channel_secret_keys (
    fingerprint    TEXT PRIMARY KEY,                       -- sixteen hexadecimal digits made from the key; nothing leads back from them
    first_used_at  TIMESTAMPTZ NOT NULL DEFAULT now(),     -- the first start with it
    last_used_at   TIMESTAMPTZ NOT NULL DEFAULT now(),     -- the latest start with it
    hashed_anew_at TIMESTAMPTZ,                            -- when all that could be was last hashed with it, as the first of the keys; NULL: never
    given_up_at    TIMESTAMPTZ                             -- an administrator said that the key is lost: what hangs on it is missed by nobody
);

ALTER TABLE whatsapp_proactive_opt_outs ADD COLUMN hashed_by TEXT; -- fingerprint of the key behind phone_hash; NULL: from before this was kept
ALTER TABLE whatsapp_consents ADD COLUMN hashed_by TEXT;   -- fingerprint of the key behind phone_hash; NULL: from before this was kept
ALTER TABLE channel_user_agents ADD COLUMN sealed_by TEXT; -- fingerprint of the key that opens the token; NULL: no token, or from before this was kept
CREATE INDEX whatsapp_proactive_opt_outs_hashed_by ON whatsapp_proactive_opt_outs (hashed_by, phone_hash);
CREATE INDEX whatsapp_consents_hashed_by ON whatsapp_consents (hashed_by, id);
CREATE INDEX channel_user_agents_sealed_by ON channel_user_agents (sealed_by, user_id) WHERE token IS NOT NULL;
