-- Erasing a user, and an administrator who looks at one, find the user's messages without reading everybody's.
CREATE INDEX channel_messages_conversation ON channel_messages (conversation_id, id) WHERE conversation_id IS NOT NULL;
