-- Two functions that every conversation calls were planned anew at each call, as functions in SQL are. These keep their plans.

CREATE OR REPLACE FUNCTION queue.wake(key TEXT) RETURNS TEXT LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    woken_pool TEXT;
BEGIN
    UPDATE queue.jobs
    SET run_at = least(run_at, now()),
        woken = (state = 'running'),
        state = (CASE WHEN state = 'scheduled' THEN 'waiting' ELSE state::TEXT END)::queue.state
    WHERE unique_key = key
    RETURNING pool INTO woken_pool;
    RETURN woken_pool;
END $$;

CREATE OR REPLACE FUNCTION channel_add_entry(conversation BIGINT, message BIGINT, turn BIGINT) RETURNS VOID LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    WITH next AS (UPDATE channel_conversations SET entries = entries + 1 WHERE id = conversation RETURNING entries)
    INSERT INTO channel_entries (conversation_id, number, message_id, turn_id) SELECT conversation, entries, message, turn FROM next;
END $$;
