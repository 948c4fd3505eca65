-- Several deployments may share an agent's gateway, whose sessions are told apart by their keys alone. Ids begin at 1 in every database.
CREATE TABLE channel_deployment (
    is_only    BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only), -- there is one row
    name       TEXT NOT NULL,                        -- random, made at the first start; part of every session key, in small letters since gateways fold case
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()    -- when it was made
);
