-- One trace spans the webhook, its jobs, the send, and Twilio's callbacks about it.
ALTER TABLE channel_chunk_attempts ADD COLUMN traceparent TEXT; -- W3C trace context of the job that made the attempt
