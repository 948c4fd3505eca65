-- A message that was a claim token keeps that it was one, and not which.
UPDATE channel_messages SET body = 'LINK-…', params = CASE WHEN params ? 'Body' THEN jsonb_set(params, '{Body}', '"LINK-…"') ELSE params END
WHERE outcome = 'claim' AND body <> 'LINK-…';
COMMENT ON COLUMN channel_messages.body IS 'its text; empty for media and locations; a claim token is taken out when the message has its outcome';
COMMENT ON COLUMN channel_messages.params IS 'everything Twilio sent, as it sent it, without claim tokens';
