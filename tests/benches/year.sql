-- What one sender leaves in size.days days, evenly over them: size.people linked people have written size.messages messages. Each has a turn, a reply of one
-- part, and three callbacks; every twentieth is followed by a metered notification. Triggers are off, so everything that they would write stands here.
SET session_replication_role = replica;

CREATE TEMPORARY TABLE size AS
SELECT current_setting('size.people')::INTEGER AS people, current_setting('size.messages')::INTEGER AS messages,
       current_setting('size.days')::INTEGER * interval '1 day' AS span;

INSERT INTO channel_users (id, plan) SELECT format('user-%s', n), 'pro' FROM size, generate_series(1, people) n;
INSERT INTO channel_addresses (last_inbound_at) SELECT now() FROM size, generate_series(1, people) n;
INSERT INTO channel_address_aliases (alias, canonical, address_id)
SELECT format('whatsapp:+1%s', 2000000000 + n), format('whatsapp:+1%s', 2000000000 + n), n FROM size, generate_series(1, people) n;
INSERT INTO channel_links (user_id, address_id) SELECT format('user-%s', n), n FROM size, generate_series(1, people) n;

CREATE TEMPORARY TABLE said AS
SELECT n AS id, 1 + n % people AS person, now() - span + span * (n / (messages + 1.0)) AS at, n % 20 = 0 AS is_notified, 2 * (n / people) + 1 AS number
FROM size, generate_series(1, messages) n;
CREATE TEMPORARY TABLE left_us AS
SELECT row_number() OVER (ORDER BY at, id, purpose) AS id, said.id AS turn, person, at, purpose,
       (lpad(to_hex((extract(epoch FROM at) * 1000)::BIGINT), 12, '0') || '7' || CASE purpose WHEN 'reply' THEN '000' ELSE '001' END || '8000'
        || lpad(to_hex(said.id), 12, '0'))::UUID AS delivery
FROM said, LATERAL (SELECT unnest(CASE WHEN is_notified THEN ARRAY['reply', 'notification'] ELSE ARRAY['reply'] END) AS purpose) AS each_one;

INSERT INTO channel_conversations (user_id, entries)
SELECT format('user-%s', person), max(number) + 1 FROM said GROUP BY person ORDER BY person;
INSERT INTO channel_messages (sid, address_id, conversation_id, body, params, received_at, written_at, admitted_at, accepted_at, turn_id, outcome, outcome_at)
SELECT format('SMa%s', md5(id::TEXT)), person, person, repeat('What is on today? ', 5),
       jsonb_build_object('AccountSid', 'AC0123456789abcdef0123456789abcdef', 'ApiVersion', '2010-04-01', 'Body', repeat('What is on today? ', 5),
                          'From', format('whatsapp:+1%s', 2000000000 + person), 'MessageSid', format('SMa%s', md5(id::TEXT)), 'MessageType', 'text',
                          'NumMedia', '0', 'NumSegments', '1', 'ProfileName', 'Somebody', 'SmsMessageSid', format('SMa%s', md5(id::TEXT)),
                          'SmsStatus', 'received', 'To', 'whatsapp:+14155238886', 'WaId', format('1%s', 2000000000 + person)),
       at, at, at, at, id, 'answered', at FROM said ORDER BY id;
INSERT INTO channel_turns (conversation_id, state, agent, reply, started_at, finished_at)
SELECT person, 'replied', 'echo', repeat('This is on today. ', 20), at, at FROM said ORDER BY id;
INSERT INTO channel_agent_calls (turn_id, call, started_at, ended_at) SELECT id, 1, at, at FROM said ORDER BY id;
INSERT INTO channel_entries (conversation_id, number, message_id, turn_id, at)
SELECT person, number + is_reply::INTEGER, CASE WHEN NOT is_reply THEN id END, CASE WHEN is_reply THEN id END, at
FROM said, unnest(ARRAY[FALSE, TRUE]) AS is_reply ORDER BY id;
INSERT INTO channel_deliveries (id, address_id, conversation_id, turn_id, link_id, user_id, period_start, purpose, text, state, expires_at, created_at, closed_at)
SELECT delivery, person, CASE WHEN purpose = 'reply' THEN person END, CASE WHEN purpose = 'reply' THEN turn END, person,
       CASE WHEN purpose <> 'reply' THEN format('user-%s', person) END, CASE WHEN purpose <> 'reply' THEN date_trunc('month', at) END,
       purpose, repeat('This is on today. ', 20), 'delivered', at + interval '1 day', at, at
FROM left_us ORDER BY id;
INSERT INTO channel_chunks (delivery_id, index, body, source_start, source_end, meter_proactive, has_footer, metering, state, attempt, sent_to, deadline_at, sid,
                            accepted_at, updated_at)
SELECT delivery, 0, repeat('This is on today. ', 20), 0, 360, purpose <> 'reply', purpose <> 'reply', CASE WHEN purpose <> 'reply' THEN 'used' END, 'read', 1,
       format('whatsapp:+1%s', 2000000000 + person), at, format('SMb%s', md5(id::TEXT)), at, at
FROM left_us ORDER BY id;
INSERT INTO channel_send_attempts (chunk_id, attempt, started_at, deadline_at, outcome, sid)
SELECT id, 1, at, at, 'accepted', format('SMb%s', md5(id::TEXT)) FROM left_us ORDER BY id;
INSERT INTO channel_status_callbacks (chunk_id, attempt, sid, status, params, received_at)
SELECT id, 1, format('SMb%s', md5(id::TEXT)), status,
       jsonb_build_object('AccountSid', 'AC0123456789abcdef0123456789abcdef', 'ApiVersion', '2010-04-01', 'ChannelPrefix', 'whatsapp',
                          'ChannelToAddress', '+1200XXXXXXX', 'From', 'whatsapp:+14155238886', 'MessageSid', format('SMb%s', md5(id::TEXT)),
                          'MessageStatus', status, 'SmsSid', format('SMb%s', md5(id::TEXT)), 'SmsStatus', status, 'To', 'whatsapp:+1200XXXXXXX'), at
FROM left_us, unnest(ARRAY['sent', 'delivered', 'read']) AS status ORDER BY id;

INSERT INTO whatsapp_send_ledger (user_id, period_start, chunk_id, event, was, at)
SELECT format('user-%s', person), date_trunc('month', at), id, event, CASE event WHEN 'used' THEN 'reserved' END, at
FROM left_us, unnest(ARRAY['reserved', 'used']) AS event WHERE purpose <> 'reply' ORDER BY id;
INSERT INTO whatsapp_sends (user_id, period_start, period_end, used)
SELECT user_id, period_start, period_start + interval '1 month', count(*) FILTER (WHERE event = 'used') FROM whatsapp_send_ledger GROUP BY user_id, period_start;
INSERT INTO channel_sent_days (user_id, day, kind, number)
SELECT format('user-%s', person), (at AT TIME ZONE 'UTC')::DATE, CASE purpose WHEN 'reply' THEN 'reply' ELSE 'metered' END, count(*)
FROM left_us GROUP BY 1, 2, 3;

SET session_replication_role = origin;
