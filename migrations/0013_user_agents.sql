-- Deployments commonly give each user a gateway of their own. What is NULL is the deployment's.
CREATE TABLE channel_user_agents (
    user_id    TEXT PRIMARY KEY REFERENCES channel_users (id) ON DELETE CASCADE,
    base_url   TEXT,                                -- the user's own gateway
    token      BYTEA,                               -- its token, sealed with the secret key; NULL: it wants none
    agent_id   TEXT,                                -- which agent of the gateway
    model      TEXT,                                -- which model behind it
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CHECK (token IS NULL OR base_url IS NOT NULL)   -- one gateway's token is never shown to another
);
