-- A channel that has run for years, by `size.people` people and `size.messages` messages, every `size.share`th of them in one thread; and a queue with
-- `size.jobs` live jobs. Triggers and foreign keys are left out, which is what makes it quick: the rows fit together anyway.
SET session_replication_role = replica;
SET synchronous_commit = off;

DROP TABLE IF EXISTS pg_temp.size, pg_temp.said;
CREATE TEMPORARY TABLE size AS
SELECT current_setting('size.people')::INTEGER AS people, current_setting('size.messages')::INTEGER AS messages, current_setting('size.share')::INTEGER AS share,
       current_setting('size.jobs')::INTEGER AS jobs;

-- Person 1 has the long thread. Every twentieth has no phone any more, every tenth had another one before.
INSERT INTO channel_users (id, plan, timezone) SELECT format('user-%s', n), (ARRAY['free', 'pro', 'pro'])[1 + n % 3], (ARRAY['Europe/Berlin', 'America/New_York'])[1 + n % 4]
FROM size, generate_series(1, people) n;
INSERT INTO channel_users_elsewhere (user_id, cell) SELECT format('user-%s', n), 'west' FROM size, generate_series(3, people, 20) n;
INSERT INTO channel_addresses (id, last_inbound_at) OVERRIDING SYSTEM VALUE SELECT n, now() - n % 1000 * interval '1 hour' FROM size, generate_series(1, people) n;
INSERT INTO channel_address_aliases (alias, canonical, address_id) SELECT format('whatsapp:+1%s', 5000000000 + n), format('whatsapp:+1%s', 5000000000 + n), n
FROM size, generate_series(1, people) n;
INSERT INTO channel_links (id, user_id, address_id, ended_at) OVERRIDING SYSTEM VALUE
SELECT n, format('user-%s', n), n, CASE WHEN n % 20 = 0 THEN now() END FROM size, generate_series(1, people) n;
INSERT INTO channel_links (id, user_id, address_id, ended_at) OVERRIDING SYSTEM VALUE
SELECT people + n, format('user-%s', n), n - 1, now() FROM size, generate_series(10, people, 10) n;
INSERT INTO channel_conversations (id, user_id, entries) OVERRIDING SYSTEM VALUE
SELECT n, format('user-%s', n), 2 * (messages / CASE WHEN n = 1 THEN share ELSE people - 1 END + 1) FROM size, generate_series(1, people) n;
INSERT INTO whatsapp_consents (hashed_by, user_id, phone, phone_hash, method, action, text, version)
SELECT 'key', format('user-%s', n), format('+1%s', 5000000000 + n), sha256(n::TEXT::BYTEA), 'claim_flow', 'granted', 'shown', '1' FROM size, generate_series(1, people) n;
INSERT INTO whatsapp_proactive_opt_outs (hashed_by, phone_hash, phone, user_id, keyword)
SELECT 'key', sha256(n::TEXT::BYTEA), format('+1%s', 5000000000 + n), format('user-%s', n), 'stop' FROM size, generate_series(1, people, 10) n;
INSERT INTO channel_claim_tokens (token_hash, user_id, replaces, expires_at, ended_at, ending)
SELECT sha256(n::TEXT::BYTEA), format('user-%s', n), FALSE, now(), CASE WHEN n % 4 > 0 THEN now() END, CASE WHEN n % 4 > 0 THEN 'redeemed' END
FROM size, generate_series(1, people) n;
INSERT INTO channel_dashboard_codes (hash, user_id, ends_at) SELECT sha256(n::TEXT::BYTEA), format('user-%s', n), now() - n * interval '1 second' FROM size, generate_series(1, people) n;
INSERT INTO channel_dashboard_sessions (hash, user_id, ends_at)
SELECT sha256(n::TEXT::BYTEA), format('user-%s', n), now() + (people / 2 - n) * interval '1 second' FROM size, generate_series(1, people) n;
INSERT INTO channel_rate_buckets (name, tokens, filled_at) SELECT format('writer:%s', n), 20, now() FROM size, generate_series(1, people) n;
INSERT INTO channel_notices (address_id, about, told_at) SELECT n, about, now() FROM size, generate_series(1, people, 2) n, unnest(ARRAY['linking', 'plan']) about;
INSERT INTO channel_gateways (address_hash, memory, answered, asked_at)
SELECT sha256(n::TEXT::BYTEA), (ARRAY['gateway', 'thread', NULL])[1 + n % 3], n % 5 > 0, now() - n % 700 * interval '1 hour' FROM size, generate_series(1, people, 10) n;
INSERT INTO channel_user_agents (user_id, base_url) SELECT format('user-%s', n), 'https://agent.example' FROM size, generate_series(1, people, 10) n;

INSERT INTO channel_takeovers (conversation_id, begun_by, ends_at) SELECT n, 'somebody', now() + interval '1 day' FROM size, generate_series(2, people, greatest(people / 200, 1)) n;

-- Who says what: every message has a turn, a reply and callbacks.
CREATE TEMPORARY TABLE said AS
SELECT n AS id, CASE WHEN n % share = 0 THEN 1 ELSE 2 + n % (people - 1) END AS person, now() - (messages - n) * interval '6 seconds' AS at,
       ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::UUID AS delivery, 2 * (n / CASE WHEN n % share = 0 THEN share ELSE people - 1 END) + 1 AS number,
       CASE WHEN n % 200 = 5 AND n > messages * 0.8 THEN 'unanswered' WHEN n > messages - 5 THEN 'running' WHEN n % 500 = 3 THEN 'failed' WHEN n % 100 = 7 THEN 'silent' ELSE 'replied' END AS turn,
       CASE WHEN n % 5000 = 11 THEN 'sending' WHEN n % 5000 = 13 THEN 'unknown' WHEN n > messages * 0.99 AND n % 5 = 2 THEN 'planned' WHEN n % 100 = 17 THEN 'failed'
            WHEN n % 10 = 1 THEN 'sent' ELSE 'delivered' END AS chunk,
       CASE WHEN n % 20 = 1 THEN 'scheduled' WHEN n % 20 = 2 THEN 'notification' ELSE 'reply' END AS purpose
FROM size, generate_series(1, messages) n;

INSERT INTO channel_messages (id, sid, address_id, conversation_id, body, params, received_at, written_at, accepted_at, turn_id, outcome, outcome_at)
OVERRIDING SYSTEM VALUE
SELECT id, format('SM%s', md5(id::TEXT)), person, CASE WHEN id % 50 <> 9 THEN person END, 'words', '{"NumMedia": "0"}', at, at,
       CASE WHEN id % 50 <> 9 THEN at END, CASE WHEN id % 50 <> 9 AND turn <> 'unanswered' THEN id END,
       CASE WHEN turn IN ('running', 'unanswered') THEN NULL WHEN id % 50 = 9 THEN 'not_linked' WHEN turn = 'replied' THEN 'answered' ELSE turn END,
       CASE WHEN turn NOT IN ('running', 'unanswered') THEN at END
FROM said;
DELETE FROM said WHERE turn = 'unanswered';
INSERT INTO channel_turns (id, conversation_id, state, agent, reply, started_at, finished_at, slot_id) OVERRIDING SYSTEM VALUE
SELECT id, person, turn, 'echo', CASE WHEN turn = 'replied' THEN 'words' END, at, CASE WHEN turn <> 'running' THEN at END,
       CASE WHEN purpose = 'scheduled' THEN 1 + id % 100 END FROM said;
-- Each agent has been away now and then, and each failed turn was in an outage.
INSERT INTO channel_agent_outages (id, agent, trouble, opened_at, closed_at) OVERRIDING SYSTEM VALUE
SELECT n, format('user-%s', n % 500), 'unreachable', now() - (2000 - n) * interval '1 hour', CASE WHEN n <= 1900 THEN now() END FROM generate_series(1, 2000) n;
UPDATE channel_turns SET outage_id = 1 + id % 2000 WHERE state = 'failed';
INSERT INTO channel_agent_calls (turn_id, call, started_at, ended_at) SELECT id, 1, at, at FROM said;
INSERT INTO channel_deliveries (id, address_id, conversation_id, turn_id, link_id, user_id, purpose, text, state, expires_at, created_at, closed_at)
SELECT delivery, person, CASE WHEN purpose = 'reply' THEN person END, CASE WHEN purpose = 'reply' THEN id END, person,
       CASE WHEN purpose <> 'reply' THEN format('user-%s', person) END, purpose, 'words', CASE WHEN chunk IN ('sending', 'planned') THEN 'open' ELSE chunk END,
       at + interval '1 day', at, CASE WHEN chunk NOT IN ('sending', 'planned') THEN at END
FROM said;
INSERT INTO channel_deliveries (id, user_id, purpose, text, state, expires_at, waits_for_inbound)
SELECT gen_random_uuid(), format('user-%s', n), 'notification', 'words', 'waiting', now() + interval '1 day', TRUE FROM size, generate_series(2, people, 50) n;
INSERT INTO channel_chunks (id, delivery_id, index, body, source_start, source_end, meter_proactive, has_footer, metering, state, attempt, deadline_at, sid, accepted_at,
                            updated_at, error_code)
OVERRIDING SYSTEM VALUE
SELECT id, delivery, 0, 'words', 0, 5, purpose <> 'reply', purpose <> 'reply', CASE WHEN purpose <> 'reply' THEN 'used' END, chunk, 1, at,
       CASE WHEN chunk NOT IN ('sending', 'planned', 'unknown') THEN format('SM%s', md5('chunk' || id)) END, at, at,
       CASE WHEN chunk = 'failed' THEN (ARRAY[63024, 63016, 21211])[1 + id % 3] END
FROM said;
INSERT INTO channel_send_attempts (chunk_id, attempt, started_at, deadline_at, outcome) SELECT id, 1, at, at, 'accepted' FROM said;
INSERT INTO channel_status_callbacks (chunk_id, attempt, sid, status, params, received_at)
SELECT id, 1, format('SM%s', md5('chunk' || id)), 'delivered', '{"MessageStatus": "delivered"}', at FROM said WHERE chunk IN ('sent', 'delivered');
INSERT INTO channel_entries (conversation_id, number, message_id, at) SELECT person, number, id, at FROM said;
INSERT INTO channel_entries (conversation_id, number, turn_id, at) SELECT person, number + 1, id, at FROM said WHERE turn = 'replied';
INSERT INTO whatsapp_sends (user_id, period_start, period_end, used)
SELECT format('user-%s', n), date_trunc('month', now()), date_trunc('month', now()) + interval '1 month', 1 FROM size, generate_series(1, people) n;
INSERT INTO whatsapp_send_ledger (user_id, period_start, chunk_id, event)
SELECT format('user-%s', person), date_trunc('month', now()), id, event FROM said, unnest(ARRAY['reserved', 'used']) AS event WHERE purpose <> 'reply';
INSERT INTO whatsapp_send_sums (user_id, period_start, event, was, number)
SELECT format('user-%s', n), date_trunc('month', now()) - ago * interval '1 month', 'used', 'reserved', 3 FROM size, generate_series(1, people) n, generate_series(14, 15) ago;
INSERT INTO channel_idempotency_keys (user_id, key, body_hash, delivery_id) SELECT format('user-%s', person), id::TEXT, ''::BYTEA, delivery FROM said WHERE purpose = 'notification';
INSERT INTO channel_attachments (message_id, index, content_type, state) SELECT id, 0, 'image/png', 'shown' FROM said WHERE id % 20 = 0;
INSERT INTO channel_claim_tries (message_id, address_id) SELECT id, person FROM said WHERE id % 20 = 0;

INSERT INTO channel_sent_days (user_id, day, kind, number)
SELECT format('user-%s', n), current_date - ago, kind, 3 FROM size, generate_series(1, people) n, generate_series(1, 3) ago, unnest(ARRAY['reply', 'metered']) kind;
INSERT INTO channel_sent_months (month, kind, shard, number)
SELECT date_trunc('month', current_date - ago * interval '1 month'), kind, shard, 1000
FROM generate_series(0, 11) ago, unnest(ARRAY['reply', 'notice', 'metered', 'template']) kind, generate_series(0, 63) shard;
INSERT INTO channel_people_places (place, address_id, taken_at)
SELECT n, n, now() - n % 100 * interval '15 minutes' FROM size, generate_series(1, people / 2) n;

-- A schedule that speaks to everybody once a day.
INSERT INTO channel_schedules (name, hash, definition)
VALUES ('daily', 'none', '{"cron": "0 8 * * *", "timezone": "UTC", "audience": {"everyone": true}, "content": {"message": "words"}}');
INSERT INTO channel_slots (id, schedule, moment, definition, state, finished_at) OVERRIDING SYSTEM VALUE
SELECT n, 'daily', now() - (2000 - n) * interval '1 day', '{}', 'done', now() FROM generate_series(1, 2000) n;
INSERT INTO channel_slot_users (slot_id, user_id, outcome, delivery_id)
SELECT 1990 + slot, format('user-%s', n), CASE WHEN n % 100 = 0 THEN 'blocked' WHEN n % 1000 = 1 THEN 'asked' ELSE 'planned' END,
       ('00000000-0000-7000-8000-' || lpad(to_hex(n % messages + 1), 12, '0'))::UUID
FROM size, generate_series(1, people) n, generate_series(1, 10) slot
WHERE n % 5 = slot % 5;
INSERT INTO channel_alerts (cause, detail, acknowledged_at, closed_at) SELECT 'unknown_send', 'some', CASE WHEN n % 10 > 0 THEN now() END, CASE WHEN n > 1 THEN now() END FROM size, generate_series(1, people / 20) n;
INSERT INTO channel_unusable_entries (sid, reason, taken_in_at) SELECT format('SM3%s', n), 'some', CASE WHEN n % 10 > 0 THEN now() END FROM size, generate_series(1, people / 20) n;
INSERT INTO channel_changed_ids (link_id, newcomer_id, seen_at, state)
SELECT n, n + 1, now() - n * interval '1 hour', CASE WHEN n % 10 = 0 THEN 'let_through' WHEN n % 2 = 0 THEN 'trusted' ELSE 'held' END FROM generate_series(1, 2000) n;
INSERT INTO channel_double_sends (sid, chunk_id, first_sid) SELECT format('SM2%s', n), n, 'SM' FROM generate_series(1, 100) n;

-- The queue: mostly in the future, some due, one long lane; and what was done before.
INSERT INTO queue.jobs (id, run_at, max_attempts, state, kind, pool, lane, unique_key, payload)
SELECT n, now() + CASE WHEN n % 10 = 0 THEN interval '0' ELSE interval '1 day' END, 5,
       (CASE WHEN n % 10 = 0 AND n <= 100000 AND n > 10 THEN 'held' WHEN n % 10 = 0 THEN 'waiting' ELSE 'scheduled' END)::queue.state,
       (ARRAY['send_chunk', 'answer', 'receive_message'])[1 + n % 3], 'replies', CASE WHEN n % 10 = 0 AND n <= 100000 THEN 'the lane' END,
       CASE WHEN n % 10 = 5 THEN format('key %s', n) END, '{}'
FROM size, generate_series(1, jobs) n;
INSERT INTO queue.finished (id, created_at, claimed_at, finished_at, worker_id, claim, attempt, crashes, cancelled, kind, pool, lane, payload)
SELECT -n, now() - n * interval '1 second', now(), now(), 1, n, 1, 0, n % 1000 = 0, (ARRAY['send_chunk', 'answer', 'receive_message'])[1 + n % 3], 'replies',
       format('lane %s', n % 1000), '{}'
FROM size, generate_series(1, jobs * 5) n;
INSERT INTO queue.dead (id, created_at, attempt, max_attempts, crashes, priority, kind, pool, reason, failure_group, payload)
SELECT -n * 7, now(), 5, 5, 0, 0, 'send_chunk', 'replies', reason, queue.failure_group('send_chunk', reason), '{}'
FROM size, generate_series(1, jobs / 20) n, LATERAL (SELECT (ARRAY['no', 'refused', 'away'])[1 + n % 3] AS reason) AS why;
INSERT INTO queue.attempts (job_id, attempt, outcome) SELECT -n, 1, 'snoozed' FROM size, generate_series(1, jobs) n;
INSERT INTO queue.audit (actor, action, target, outcome) SELECT 'somebody', 'cancel', format('job %s', n), 'cancelled' FROM size, generate_series(1, jobs / 10) n;

DO $$
DECLARE
    grown RECORD;
BEGIN
    FOR grown IN
        SELECT c.table_schema, c.table_name, c.column_name FROM information_schema.columns c
        WHERE c.is_identity = 'YES' AND c.table_schema IN ('public', 'queue')
    LOOP
        EXECUTE format('SELECT setval(pg_get_serial_sequence(%L, %L), coalesce((SELECT max(%I) FROM %I.%I), 1))',
                       grown.table_schema || '.' || grown.table_name, grown.column_name, grown.column_name, grown.table_schema, grown.table_name);
    END LOOP;
    PERFORM setval('queue.job_ids', (SELECT max(id) FROM queue.jobs));
END $$;
SET session_replication_role = origin;
