-- The whole schema as the database tells it, for people: never executed. `WRITE_SCHEMA=1 cargo test -p store schema_sql` writes it anew.

CREATE TYPE queue.phase AS ENUM ('held', 'scheduled', 'parked', 'due');

CREATE TYPE queue.state AS ENUM ('held', 'scheduled', 'parked', 'waiting', 'running');

CREATE SEQUENCE queue.claim_ids;

CREATE SEQUENCE queue.job_ids;

CREATE TABLE channel_address_aliases (
    alias TEXT NOT NULL,
    canonical TEXT,
    address_id BIGINT NOT NULL,
    last_seen_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    FOREIGN KEY (address_id) REFERENCES channel_addresses(id),
    PRIMARY KEY (alias)
);
CREATE INDEX channel_address_aliases_address ON channel_address_aliases USING btree (address_id, last_seen_at DESC);
CREATE INDEX channel_address_aliases_canonical ON channel_address_aliases USING btree (COALESCE(canonical, alias));

CREATE TABLE channel_addresses (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    last_inbound_at TIMESTAMP WITH TIME ZONE,
    last_keyword TEXT,
    last_keyword_at TIMESTAMP WITH TIME ZONE,
    merged_into BIGINT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CHECK ((last_keyword = ANY (ARRAY['STOP'::text, 'START'::text]))),
    FOREIGN KEY (merged_into) REFERENCES channel_addresses(id),
    PRIMARY KEY (id)
);
CREATE INDEX channel_addresses_merged ON channel_addresses USING btree (merged_into) WHERE (merged_into IS NOT NULL);

CREATE TABLE channel_admin_sessions (
    hash BYTEA NOT NULL,
    administrator TEXT NOT NULL,
    may_act BOOLEAN NOT NULL,
    begun_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (hash)
);
CREATE INDEX channel_admin_sessions_ends_at ON channel_admin_sessions USING btree (ends_at);

CREATE TABLE channel_agent_calls (
    turn_id BIGINT NOT NULL,
    call INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 1,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    ended_at TIMESTAMP WITH TIME ZONE,
    error TEXT,
    FOREIGN KEY (turn_id) REFERENCES channel_turns(id),
    PRIMARY KEY (turn_id, call)
);

CREATE TABLE channel_agent_outages (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    agent TEXT NOT NULL,
    trouble TEXT NOT NULL,
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    failed_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    closed_at TIMESTAMP WITH TIME ZONE,
    CHECK ((trouble = ANY (ARRAY['token'::text, 'endpoint'::text, 'name'::text, 'unreachable'::text, 'locked_out'::text, 'busy'::text, 'provider'::text, 'setup'::text, 'failing'::text]))),
    PRIMARY KEY (id)
);
CREATE INDEX channel_agent_outages_closed ON channel_agent_outages USING btree (closed_at) WHERE (closed_at IS NOT NULL);
CREATE INDEX channel_agent_outages_open_since ON channel_agent_outages USING btree (opened_at) WHERE (closed_at IS NULL);
CREATE UNIQUE INDEX channel_agent_outages_open ON channel_agent_outages USING btree (agent) WHERE (closed_at IS NULL);

CREATE TABLE channel_alerts (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    cause TEXT NOT NULL,
    detail TEXT NOT NULL,
    times INTEGER NOT NULL DEFAULT 1,
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    last_seen_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    told_at TIMESTAMP WITH TIME ZONE,
    tell_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    tellings INTEGER NOT NULL DEFAULT 0,
    told_open BOOLEAN NOT NULL DEFAULT false,
    acknowledged_at TIMESTAMP WITH TIME ZONE,
    closed_at TIMESTAMP WITH TIME ZONE,
    CHECK ((cause = ANY (ARRAY['double_send'::text, 'unknown_send'::text, 'send_in_doubt'::text, 'sender_refused'::text, 'template'::text, 'template_changed'::text, 'pause_without_probe'::text, 'long_pause'::text, 'undelivered'::text, 'callbacks_failing'::text, 'dead_jobs'::text, 'sender_moved'::text, 'unusable_entry'::text, 'backfill_behind'::text, 'human_wanted'::text, 'monthly_cap_near'::text, 'monthly_cap_reached'::text, 'schedule_disabled'::text, 'schedules_unreadable'::text, 'slots_late'::text, 'time_zones'::text, 'secret_key'::text, 'unknown_kind'::text, 'clock'::text, 'agent_token'::text, 'agent_endpoint'::text, 'agent_name'::text, 'agent_unreachable'::text, 'agent_locked_out'::text, 'agent_busy'::text, 'agent_provider'::text, 'agent_setup'::text, 'agent_failing'::text, 'database_away'::text, 'database_read_only'::text, 'database_refuses'::text]))),
    PRIMARY KEY (id)
);
CREATE INDEX channel_alerts_cause ON channel_alerts USING btree (cause, id DESC);
CREATE UNIQUE INDEX channel_alerts_open ON channel_alerts USING btree (cause) WHERE (closed_at IS NULL);

CREATE TABLE channel_answers_by_hand (
    conversation_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    turn_id BIGINT NOT NULL,
    answered_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (conversation_id) REFERENCES channel_conversations(id),
    FOREIGN KEY (turn_id) REFERENCES channel_turns(id),
    PRIMARY KEY (conversation_id, key)
);
CREATE INDEX channel_answers_by_hand_old ON channel_answers_by_hand USING btree (answered_at);

CREATE TABLE channel_attachments (
    message_id BIGINT NOT NULL,
    index INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    state TEXT NOT NULL,
    size_bytes BIGINT,
    reason TEXT,
    fetched_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CHECK (((state = ANY (ARRAY['refused'::text, 'failed'::text])) = (reason IS NOT NULL))),
    CHECK ((state = ANY (ARRAY['shown'::text, 'named'::text, 'refused'::text, 'failed'::text]))),
    FOREIGN KEY (message_id) REFERENCES channel_messages(id),
    PRIMARY KEY (message_id, index)
);

CREATE TABLE channel_callbacks (
    is_only BOOLEAN NOT NULL DEFAULT true,
    kind TEXT NOT NULL,
    pool TEXT NOT NULL,
    max_attempts SMALLINT NOT NULL,
    CHECK (is_only),
    PRIMARY KEY (is_only)
);

CREATE TABLE channel_changed_ids (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    link_id BIGINT NOT NULL,
    newcomer_id BIGINT NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    state TEXT NOT NULL,
    CHECK ((state = ANY (ARRAY['held'::text, 'let_through'::text, 'trusted'::text]))),
    FOREIGN KEY (link_id) REFERENCES channel_links(id),
    FOREIGN KEY (newcomer_id) REFERENCES channel_addresses(id),
    PRIMARY KEY (id),
    UNIQUE (link_id, newcomer_id)
);
CREATE INDEX channel_changed_ids_newcomer ON channel_changed_ids USING btree (newcomer_id);
CREATE INDEX channel_changed_ids_seen ON channel_changed_ids USING btree (seen_at);

CREATE TABLE channel_chunks (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    delivery_id UUID NOT NULL,
    index INTEGER NOT NULL,
    form TEXT NOT NULL DEFAULT 'text'::text,
    body TEXT NOT NULL,
    source_start INTEGER NOT NULL,
    source_end INTEGER NOT NULL,
    meter_proactive BOOLEAN NOT NULL,
    metering TEXT,
    has_footer BOOLEAN NOT NULL,
    state TEXT NOT NULL DEFAULT 'planned'::text,
    verdict TEXT,
    attempt INTEGER NOT NULL DEFAULT 0,
    send_at TIMESTAMP WITH TIME ZONE,
    sent_to TEXT,
    deadline_at TIMESTAMP WITH TIME ZONE,
    sid TEXT,
    accepted_at TIMESTAMP WITH TIME ZONE,
    status_look_ups SMALLINT NOT NULL DEFAULT 0,
    error_code INTEGER,
    error_message TEXT,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CHECK (((state = 'sending'::text) <= (deadline_at IS NOT NULL))),
    CHECK (((state = ANY (ARRAY['accepted'::text, 'sent'::text, 'delivered'::text, 'read'::text])) <= ((sid IS NOT NULL) OR (verdict = 'arrived'::text)))),
    CHECK ((form = ANY (ARRAY['text'::text, 'template'::text]))),
    CHECK ((metering = ANY (ARRAY['reserved'::text, 'used'::text, 'released'::text, 'credited'::text]))),
    CHECK ((source_start <= source_end)),
    CHECK ((state = ANY (ARRAY['planned'::text, 'sending'::text, 'accepted'::text, 'sent'::text, 'delivered'::text, 'read'::text, 'failed'::text, 'cancelled'::text, 'blocked'::text, 'expired'::text, 'unknown'::text]))),
    CHECK ((verdict = ANY (ARRAY['arrived'::text, 'send_again'::text]))),
    FOREIGN KEY (delivery_id) REFERENCES channel_deliveries(id),
    PRIMARY KEY (id),
    UNIQUE (delivery_id, index),
    UNIQUE (sid)
);
CREATE INDEX channel_chunks_error ON channel_chunks USING btree (error_code, delivery_id, index) WHERE (error_code IS NOT NULL);
CREATE INDEX channel_chunks_failed ON channel_chunks USING btree (updated_at) WHERE (state = 'failed'::text);
CREATE INDEX channel_chunks_in_doubt ON channel_chunks USING btree (id) WHERE (state = ANY (ARRAY['sending'::text, 'unknown'::text]));
CREATE INDEX channel_chunks_unsettled ON channel_chunks USING btree (status_look_ups, accepted_at) WHERE ((state = ANY (ARRAY['accepted'::text, 'sent'::text])) AND (sid IS NOT NULL));
CREATE INDEX channel_chunks_unusual ON channel_chunks USING btree (state, delivery_id, index) WHERE (state = ANY (ARRAY['failed'::text, 'cancelled'::text, 'blocked'::text, 'expired'::text, 'unknown'::text]));
CREATE TRIGGER channel_tell_read AFTER UPDATE OF state ON channel_chunks FOR EACH ROW WHEN (((new.state = 'read'::text) AND (old.state <> 'read'::text))) EXECUTE FUNCTION channel_tell_read();
CREATE TRIGGER whatsapp_meter_state AFTER UPDATE OF state ON channel_chunks FOR EACH ROW WHEN (((new.metering IS NOT NULL) AND (old.state IS DISTINCT FROM new.state))) EXECUTE FUNCTION whatsapp_meter_state();
CREATE TRIGGER whatsapp_withdraw_credit AFTER UPDATE OF state ON channel_chunks FOR EACH ROW WHEN (((new.metering = 'credited'::text) AND (old.state = 'failed'::text) AND (new.state <> 'failed'::text))) EXECUTE FUNCTION whatsapp_withdraw_credit();

CREATE TABLE channel_claim_tokens (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    token_hash BYTEA NOT NULL,
    user_id TEXT NOT NULL,
    replaces BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    ending TEXT,
    CHECK (((ended_at IS NULL) = (ending IS NULL))),
    CHECK ((ending = ANY (ARRAY['redeemed'::text, 'voided'::text, 'number_linked_elsewhere'::text, 'plan'::text, 'country'::text]))),
    FOREIGN KEY (user_id) REFERENCES channel_users(id),
    PRIMARY KEY (id),
    UNIQUE (token_hash)
);
CREATE INDEX channel_claim_tokens_user ON channel_claim_tokens USING btree (user_id, id DESC);
CREATE UNIQUE INDEX channel_claim_tokens_live ON channel_claim_tokens USING btree (user_id) WHERE (ended_at IS NULL);

CREATE TABLE channel_claim_tries (
    message_id BIGINT NOT NULL,
    address_id BIGINT NOT NULL,
    tried_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (address_id) REFERENCES channel_addresses(id),
    FOREIGN KEY (message_id) REFERENCES channel_messages(id),
    PRIMARY KEY (message_id)
);
CREATE INDEX channel_claim_tries_address ON channel_claim_tries USING btree (address_id, tried_at);

CREATE TABLE channel_conversations (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    user_id TEXT,
    entries BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    FOREIGN KEY (user_id) REFERENCES channel_users(id),
    PRIMARY KEY (id),
    UNIQUE (user_id)
) WITH (fillfactor=50);

CREATE TABLE channel_cursors (
    name TEXT NOT NULL,
    moment TIMESTAMP WITH TIME ZONE NOT NULL,
    CHECK ((name = ANY (ARRAY['backfill'::text, 'first_start'::text]))),
    PRIMARY KEY (name)
);

CREATE TABLE channel_dashboard_codes (
    hash BYTEA NOT NULL,
    user_id TEXT NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    FOREIGN KEY (user_id) REFERENCES channel_users(id) ON DELETE CASCADE,
    PRIMARY KEY (hash)
);
CREATE INDEX channel_dashboard_codes_ends_at ON channel_dashboard_codes USING btree (ends_at);
CREATE INDEX channel_dashboard_codes_user ON channel_dashboard_codes USING btree (user_id);

CREATE TABLE channel_dashboard_sessions (
    hash BYTEA NOT NULL,
    user_id TEXT NOT NULL,
    begun_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    FOREIGN KEY (user_id) REFERENCES channel_users(id) ON DELETE CASCADE,
    PRIMARY KEY (hash)
);
CREATE INDEX channel_dashboard_sessions_ends_at ON channel_dashboard_sessions USING btree (ends_at);
CREATE INDEX channel_dashboard_sessions_user ON channel_dashboard_sessions USING btree (user_id);

CREATE TABLE channel_deliveries (
    id UUID NOT NULL,
    address_id BIGINT,
    link_id BIGINT,
    user_id TEXT,
    period_start TIMESTAMP WITH TIME ZONE,
    conversation_id BIGINT,
    turn_id BIGINT,
    message_id BIGINT,
    resent_from BIGINT,
    purpose TEXT NOT NULL,
    text TEXT NOT NULL,
    content_sid TEXT,
    content_variables JSONB,
    waits_for_inbound BOOLEAN NOT NULL DEFAULT false,
    waits_for_room BOOLEAN NOT NULL DEFAULT false,
    waits_until TIMESTAMP WITH TIME ZONE,
    quiet_rule JSONB,
    state TEXT NOT NULL DEFAULT 'open'::text,
    reason TEXT,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    closed_at TIMESTAMP WITH TIME ZONE,
    CHECK (((state = 'waiting'::text) <= (waits_for_inbound OR waits_for_room OR (waits_until IS NOT NULL)))),
    CHECK (((state = ANY (ARRAY['open'::text, 'waiting'::text])) = (closed_at IS NULL))),
    CHECK ((purpose = ANY (ARRAY['reply'::text, 'notice'::text, 'notification'::text, 'scheduled'::text]))),
    CHECK ((state = ANY (ARRAY['waiting'::text, 'open'::text, 'sent'::text, 'delivered'::text, 'failed'::text, 'cancelled'::text, 'blocked'::text, 'expired'::text, 'unknown'::text]))),
    FOREIGN KEY (address_id) REFERENCES channel_addresses(id),
    FOREIGN KEY (conversation_id) REFERENCES channel_conversations(id),
    FOREIGN KEY (link_id) REFERENCES channel_links(id),
    FOREIGN KEY (message_id) REFERENCES channel_messages(id),
    FOREIGN KEY (resent_from) REFERENCES channel_chunks(id),
    FOREIGN KEY (turn_id) REFERENCES channel_turns(id),
    PRIMARY KEY (id),
    UNIQUE (message_id),
    UNIQUE (turn_id)
);
CREATE INDEX channel_deliveries_link ON channel_deliveries USING btree (link_id) WHERE (state = 'open'::text);
CREATE INDEX channel_deliveries_of_address ON channel_deliveries USING btree (address_id, id);
CREATE INDEX channel_deliveries_of_user ON channel_deliveries USING btree (user_id, id) WHERE (user_id IS NOT NULL);
CREATE INDEX channel_deliveries_open ON channel_deliveries USING btree (address_id) WHERE (state = 'open'::text);
CREATE INDEX channel_deliveries_unusual ON channel_deliveries USING btree (state, id) WHERE (state <> ALL (ARRAY['sent'::text, 'delivered'::text]));
CREATE INDEX channel_deliveries_waiting ON channel_deliveries USING btree (user_id, created_at) WHERE (state = 'waiting'::text);
CREATE INDEX channel_deliveries_waiting_for_room ON channel_deliveries USING btree (id) WHERE ((state = 'waiting'::text) AND waits_for_room);
CREATE INDEX channel_deliveries_waiting_for_time ON channel_deliveries USING btree (waits_until, id) WHERE ((state = 'waiting'::text) AND (NOT waits_for_inbound));
CREATE INDEX channel_deliveries_waiting_until ON channel_deliveries USING btree (expires_at) WHERE (state = 'waiting'::text);
CREATE UNIQUE INDEX channel_deliveries_resent_from ON channel_deliveries USING btree (resent_from) WHERE (resent_from IS NOT NULL);
CREATE TRIGGER channel_tell_delivery AFTER UPDATE OF state ON channel_deliveries FOR EACH ROW WHEN (((old.state IS DISTINCT FROM new.state) AND (num_nonnulls(new.user_id, new.conversation_id) > 0))) EXECUTE FUNCTION channel_tell_delivery();
CREATE TRIGGER channel_tell_new_delivery AFTER INSERT ON channel_deliveries FOR EACH ROW WHEN (((new.state <> 'open'::text) AND (new.user_id IS NOT NULL))) EXECUTE FUNCTION channel_tell_delivery();

CREATE TABLE channel_deployment (
    is_only BOOLEAN NOT NULL DEFAULT true,
    name TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CHECK (is_only),
    PRIMARY KEY (is_only)
);

CREATE TABLE channel_double_sends (
    sid TEXT NOT NULL,
    chunk_id BIGINT NOT NULL,
    first_sid TEXT NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    FOREIGN KEY (chunk_id) REFERENCES channel_chunks(id),
    PRIMARY KEY (sid)
);
CREATE INDEX channel_double_sends_chunk ON channel_double_sends USING btree (chunk_id);

CREATE TABLE channel_entries (
    conversation_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    message_id BIGINT,
    turn_id BIGINT,
    at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    CHECK (((message_id IS NULL) <> (turn_id IS NULL))),
    FOREIGN KEY (conversation_id) REFERENCES channel_conversations(id),
    FOREIGN KEY (message_id) REFERENCES channel_messages(id),
    FOREIGN KEY (turn_id) REFERENCES channel_turns(id),
    PRIMARY KEY (conversation_id, number)
);

CREATE TABLE channel_erasures (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    user_id TEXT NOT NULL,
    part TEXT NOT NULL,
    subject BIGINT,
    begun_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    due_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    next_id BIGINT NOT NULL DEFAULT '9223372036854775807'::bigint,
    next_delivery UUID NOT NULL DEFAULT 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid,
    CHECK (((part = 'deliveries_of_user'::text) = (subject IS NULL))),
    CHECK ((part = ANY (ARRAY['messages_of_conversation'::text, 'messages_of_address'::text, 'turns_of_conversation'::text, 'deliveries_of_address'::text, 'deliveries_of_user'::text, 'chunk'::text]))),
    PRIMARY KEY (id)
);

CREATE TABLE channel_functions (
    is_only BOOLEAN NOT NULL DEFAULT true,
    revision INTEGER NOT NULL,
    hash BYTEA NOT NULL,
    CHECK (is_only),
    PRIMARY KEY (is_only)
);

CREATE TABLE channel_gateways (
    address_hash BYTEA NOT NULL,
    memory TEXT,
    answered BOOLEAN NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    CHECK ((memory = ANY (ARRAY['gateway'::text, 'thread'::text]))),
    PRIMARY KEY (address_hash)
);
CREATE INDEX channel_gateways_asked ON channel_gateways USING btree (asked_at);

CREATE TABLE channel_gauges (
    is_only BOOLEAN NOT NULL DEFAULT true,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    read_at TIMESTAMP WITH TIME ZONE,
    figures JSONB,
    CHECK (is_only),
    PRIMARY KEY (is_only)
);

CREATE TABLE channel_idempotency_keys (
    user_id TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash BYTEA NOT NULL,
    delivery_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (delivery_id) REFERENCES channel_deliveries(id),
    PRIMARY KEY (user_id, key)
);
CREATE INDEX channel_idempotency_keys_created ON channel_idempotency_keys USING btree (created_at);

CREATE TABLE channel_links (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    user_id TEXT,
    address_id BIGINT NOT NULL,
    linked_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    unproven_since TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    FOREIGN KEY (address_id) REFERENCES channel_addresses(id),
    FOREIGN KEY (user_id) REFERENCES channel_users(id),
    PRIMARY KEY (id)
);
CREATE INDEX channel_links_of_address ON channel_links USING btree (address_id);
CREATE INDEX channel_links_of_user ON channel_links USING btree (user_id, address_id, id);
CREATE UNIQUE INDEX channel_links_address ON channel_links USING btree (address_id) WHERE (ended_at IS NULL);
CREATE UNIQUE INDEX channel_links_user ON channel_links USING btree (user_id) WHERE (ended_at IS NULL);

CREATE TABLE channel_messages (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    sid TEXT NOT NULL,
    channel TEXT NOT NULL DEFAULT 'whatsapp'::text,
    address_id BIGINT,
    conversation_id BIGINT,
    body TEXT NOT NULL,
    params JSONB NOT NULL,
    written_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    received_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    backfilled BOOLEAN NOT NULL DEFAULT false,
    admitted_at TIMESTAMP WITH TIME ZONE,
    accepted_at TIMESTAMP WITH TIME ZONE,
    turn_id BIGINT,
    outcome TEXT,
    outcome_reason TEXT,
    outcome_at TIMESTAMP WITH TIME ZONE,
    retried_at TIMESTAMP WITH TIME ZONE,
    CHECK (((channel = 'whatsapp'::text) = (address_id IS NOT NULL))),
    CHECK (((outcome IS NULL) = (outcome_at IS NULL))),
    CHECK ((channel = ANY (ARRAY['whatsapp'::text, 'dashboard'::text]))),
    CHECK ((outcome = ANY (ARRAY['answered'::text, 'silent'::text, 'failed'::text, 'keyword'::text, 'claim'::text, 'browser'::text, 'human'::text, 'not_linked'::text, 'country'::text, 'plan'::text, 'paused'::text, 'disabled'::text, 'rate_limited'::text, 'moderated'::text, 'late'::text, 'erased'::text]))),
    FOREIGN KEY (address_id) REFERENCES channel_addresses(id),
    FOREIGN KEY (conversation_id) REFERENCES channel_conversations(id),
    FOREIGN KEY (turn_id) REFERENCES channel_turns(id),
    PRIMARY KEY (id),
    UNIQUE (sid)
);
CREATE INDEX channel_messages_address ON channel_messages USING btree (address_id, id);
CREATE INDEX channel_messages_conversation ON channel_messages USING btree (conversation_id, id) WHERE (conversation_id IS NOT NULL);
CREATE INDEX channel_messages_turn ON channel_messages USING btree (turn_id) WHERE (turn_id IS NOT NULL);
CREATE INDEX channel_messages_unanswered ON channel_messages USING btree (conversation_id, id) WHERE ((turn_id IS NULL) AND (outcome IS NULL));
CREATE INDEX channel_messages_unusual ON channel_messages USING btree (outcome, id) WHERE (outcome <> 'answered'::text);
CREATE INDEX channel_messages_unusual_of ON channel_messages USING btree (conversation_id, outcome, id) WHERE (outcome <> 'answered'::text);
CREATE TRIGGER channel_note_accepted AFTER UPDATE OF accepted_at ON channel_messages FOR EACH ROW WHEN (((new.accepted_at IS NOT NULL) AND (old.accepted_at IS NULL) AND (new.conversation_id IS NOT NULL))) EXECUTE FUNCTION channel_note_message();
CREATE TRIGGER channel_note_message AFTER INSERT ON channel_messages FOR EACH ROW WHEN (((new.accepted_at IS NOT NULL) AND (new.conversation_id IS NOT NULL))) EXECUTE FUNCTION channel_note_message();

CREATE TABLE channel_notices (
    address_id BIGINT NOT NULL,
    about TEXT NOT NULL,
    told_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CHECK ((about = ANY (ARRAY['linking'::text, 'plan'::text, 'country'::text, 'human'::text, 'rate'::text]))),
    FOREIGN KEY (address_id) REFERENCES channel_addresses(id),
    PRIMARY KEY (address_id, about)
);

CREATE TABLE channel_people_places (
    place INTEGER NOT NULL,
    address_id BIGINT,
    taken_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT '-infinity'::timestamp with time zone,
    PRIMARY KEY (place)
);
CREATE INDEX channel_people_places_address ON channel_people_places USING btree (address_id, taken_at);
CREATE INDEX channel_people_places_taken ON channel_people_places USING btree (taken_at);

CREATE TABLE channel_processes (
    process TEXT NOT NULL,
    roles TEXT[] NOT NULL,
    version TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    CHECK ((roles <@ ARRAY['receiver'::text, 'workers'::text, 'scheduler'::text, 'console'::text])),
    PRIMARY KEY (process)
);

CREATE TABLE channel_rate_buckets (
    name TEXT NOT NULL,
    tokens DOUBLE PRECISION NOT NULL,
    filled_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CHECK ((split_part(name, ':'::text, 1) = ANY (ARRAY['writer'::text, 'unlinked'::text, 'page'::text, 'total'::text, 'to'::text]))),
    PRIMARY KEY (name)
);

CREATE TABLE channel_retention (
    part TEXT NOT NULL,
    next_id BIGINT NOT NULL DEFAULT 0,
    next_delivery UUID NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'::uuid,
    next_name TEXT NOT NULL DEFAULT ''::text,
    walked_at TIMESTAMP WITH TIME ZONE,
    CHECK ((part = ANY (ARRAY['entries'::text, 'messages'::text, 'turns'::text, 'deliveries'::text, 'callbacks'::text, 'slot_users'::text, 'claim_tries'::text, 'idempotency_keys'::text, 'rate_buckets'::text, 'ledger'::text, 'strangers'::text, 'claim_tokens'::text, 'sent_days'::text, 'alerts'::text, 'unusable_entries'::text, 'agent_outages'::text, 'dashboard_codes'::text, 'dashboard_sessions'::text]))),
    PRIMARY KEY (part)
);

CREATE TABLE channel_schedulers (
    process TEXT NOT NULL,
    set_hash TEXT NOT NULL,
    hashes JSONB NOT NULL,
    zone_release TEXT NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (process)
);

CREATE TABLE channel_schedules (
    name TEXT NOT NULL,
    hash TEXT NOT NULL,
    definition JSONB NOT NULL,
    loaded_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    fired_until TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    enabled BOOLEAN NOT NULL DEFAULT true,
    off_cause TEXT,
    off_since TIMESTAMP WITH TIME ZONE,
    off_by TEXT,
    off_reason TEXT,
    failed_in_row INTEGER NOT NULL DEFAULT 0,
    removed_at TIMESTAMP WITH TIME ZONE,
    CHECK (((NOT (off_cause IS DISTINCT FROM 'by_hand'::text)) = (off_by IS NOT NULL))),
    CHECK (((off_cause IS NULL) = (off_since IS NULL))),
    CHECK ((enabled <= (off_reason IS NULL))),
    CHECK ((enabled = (off_cause IS NULL))),
    CHECK ((off_cause = ANY (ARRAY['by_hand'::text, 'failed_in_row'::text]))),
    PRIMARY KEY (name)
);

CREATE TABLE channel_secret_keys (
    fingerprint TEXT NOT NULL,
    first_used_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    last_used_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    hashed_anew_at TIMESTAMP WITH TIME ZONE,
    given_up_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (fingerprint)
);

CREATE TABLE channel_secrets (
    name TEXT NOT NULL,
    secret TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    PRIMARY KEY (name)
);

CREATE TABLE channel_send_attempts (
    chunk_id BIGINT NOT NULL,
    attempt INTEGER NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    deadline_at TIMESTAMP WITH TIME ZONE NOT NULL,
    outcome TEXT,
    sid TEXT,
    error_code INTEGER,
    error_message TEXT,
    first_miss_at TIMESTAMP WITH TIME ZONE,
    history JSONB,
    traceparent TEXT,
    CHECK ((outcome = ANY (ARRAY['accepted'::text, 'refused'::text, 'not_sent'::text, 'in_doubt'::text, 'missed'::text]))),
    FOREIGN KEY (chunk_id) REFERENCES channel_chunks(id),
    PRIMARY KEY (chunk_id, attempt)
);

CREATE TABLE channel_sender_moves (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    noticed_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    decided_at TIMESTAMP WITH TIME ZONE,
    trusted_since TIMESTAMP WITH TIME ZONE,
    CHECK (((trusted_since IS NULL) OR (decided_at IS NOT NULL))),
    PRIMARY KEY (id)
);
CREATE UNIQUE INDEX channel_sender_moves_undecided ON channel_sender_moves USING btree ((true)) WHERE (decided_at IS NULL);

CREATE TABLE channel_sender_pace (
    stream TEXT NOT NULL,
    free_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CHECK ((stream = ANY (ARRAY['all'::text, 'proactive'::text]))),
    PRIMARY KEY (stream)
);

CREATE TABLE channel_sent_days (
    user_id TEXT NOT NULL,
    day DATE NOT NULL,
    kind TEXT NOT NULL,
    number INTEGER NOT NULL,
    CHECK ((kind = ANY (ARRAY['reply'::text, 'notice'::text, 'metered'::text, 'marketing_template'::text, 'utility_template'::text, 'authentication_template'::text, 'template'::text]))),
    PRIMARY KEY (user_id, day, kind)
);
CREATE INDEX channel_sent_days_day ON channel_sent_days USING btree (day);

CREATE TABLE channel_sent_months (
    month DATE NOT NULL,
    kind TEXT NOT NULL,
    shard SMALLINT NOT NULL,
    number BIGINT NOT NULL,
    CHECK ((kind = ANY (ARRAY['reply'::text, 'notice'::text, 'metered'::text, 'marketing_template'::text, 'utility_template'::text, 'authentication_template'::text, 'template'::text]))),
    PRIMARY KEY (month, kind, shard)
) WITH (fillfactor=50);

CREATE TABLE channel_slot_users (
    slot_id BIGINT NOT NULL,
    user_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    times_given INTEGER NOT NULL DEFAULT 1,
    runs INTEGER NOT NULL DEFAULT 0,
    delivery_id UUID,
    schedule TEXT,
    local_time TIMESTAMP WITHOUT TIME ZONE,
    CHECK (((schedule IS NULL) = (local_time IS NULL))),
    CHECK ((outcome = ANY (ARRAY['asked'::text, 'agent_failed'::text, 'planned'::text, 'blocked'::text, 'empty'::text]))),
    CHECK ((runs >= 0)),
    FOREIGN KEY (delivery_id) REFERENCES channel_deliveries(id),
    FOREIGN KEY (slot_id) REFERENCES channel_slots(id),
    PRIMARY KEY (slot_id, user_id)
);
CREATE INDEX channel_slot_users_asked ON channel_slot_users USING btree (slot_id) WHERE (outcome = 'asked'::text);
CREATE UNIQUE INDEX channel_slot_users_local_time ON channel_slot_users USING btree (schedule, local_time, user_id) WHERE (local_time IS NOT NULL);

CREATE TABLE channel_slots (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    schedule TEXT NOT NULL,
    zone TEXT NOT NULL DEFAULT ''::text,
    moment TIMESTAMP WITH TIME ZONE NOT NULL,
    local_time TIMESTAMP WITHOUT TIME ZONE,
    manual BOOLEAN NOT NULL DEFAULT false,
    is_test BOOLEAN NOT NULL DEFAULT false,
    retry_of BIGINT,
    definition JSONB NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    last_user TEXT,
    audience_done_at TIMESTAMP WITH TIME ZONE,
    fired_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    finished_at TIMESTAMP WITH TIME ZONE,
    CHECK (((state = 'open'::text) = (finished_at IS NULL))),
    CHECK ((manual OR (NOT is_test))),
    CHECK ((state = ANY (ARRAY['open'::text, 'done'::text, 'failed'::text, 'skipped'::text]))),
    FOREIGN KEY (retry_of) REFERENCES channel_slots(id),
    FOREIGN KEY (schedule) REFERENCES channel_schedules(name),
    PRIMARY KEY (id),
    UNIQUE (schedule, zone, moment)
);
CREATE INDEX channel_slots_open ON channel_slots USING btree (schedule, zone) WHERE (state = 'open'::text);
CREATE INDEX channel_slots_schedule ON channel_slots USING btree (schedule, moment DESC);
CREATE UNIQUE INDEX channel_slots_retry_of ON channel_slots USING btree (retry_of) WHERE (retry_of IS NOT NULL);

CREATE TABLE channel_status_callbacks (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    chunk_id BIGINT,
    attempt INTEGER,
    sid TEXT NOT NULL,
    status TEXT NOT NULL,
    error_code INTEGER,
    params JSONB NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (chunk_id) REFERENCES channel_chunks(id),
    PRIMARY KEY (id)
);
CREATE INDEX channel_status_callbacks_chunk ON channel_status_callbacks USING btree (chunk_id) WHERE (chunk_id IS NOT NULL);
CREATE INDEX channel_status_callbacks_sid ON channel_status_callbacks USING btree (sid);

CREATE TABLE channel_takeovers (
    conversation_id BIGINT NOT NULL,
    begun_by TEXT NOT NULL,
    begun_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    FOREIGN KEY (conversation_id) REFERENCES channel_conversations(id),
    PRIMARY KEY (conversation_id)
);
CREATE INDEX channel_takeovers_due ON channel_takeovers USING btree (ends_at);

CREATE TABLE channel_templates (
    content_sid TEXT NOT NULL,
    category TEXT,
    status TEXT,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    seen_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (content_sid)
);

CREATE TABLE channel_turns (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    conversation_id BIGINT NOT NULL,
    channel TEXT NOT NULL DEFAULT 'whatsapp'::text,
    slot_id BIGINT,
    retry_of BIGINT,
    state TEXT NOT NULL DEFAULT 'running'::text,
    calls INTEGER NOT NULL DEFAULT 1,
    ask_again_at TIMESTAMP WITH TIME ZONE,
    told_at TIMESTAMP WITH TIME ZONE,
    agent TEXT NOT NULL,
    in_hand TEXT,
    reply TEXT,
    withheld TEXT[] NOT NULL DEFAULT '{}'::text[],
    error TEXT,
    outage_id BIGINT,
    no_apology TEXT,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    finished_at TIMESTAMP WITH TIME ZONE,
    CHECK (((state = 'replied'::text) = (reply IS NOT NULL))),
    CHECK (((state = 'running'::text) = (finished_at IS NULL))),
    CHECK ((calls >= 0)),
    CHECK ((channel = ANY (ARRAY['whatsapp'::text, 'dashboard'::text]))),
    CHECK ((no_apology = ANY (ARRAY['retried'::text, 'same_outage'::text]))),
    CHECK ((state = ANY (ARRAY['running'::text, 'replied'::text, 'silent'::text, 'failed'::text]))),
    CHECK ((withheld <@ ARRAY['silence'::text, 'heartbeat'::text, 'thought'::text, 'media_directive'::text, 'control_character'::text])),
    FOREIGN KEY (conversation_id) REFERENCES channel_conversations(id),
    FOREIGN KEY (outage_id) REFERENCES channel_agent_outages(id),
    FOREIGN KEY (retry_of) REFERENCES channel_turns(id),
    FOREIGN KEY (slot_id) REFERENCES channel_slots(id),
    PRIMARY KEY (id)
);
CREATE INDEX channel_turns_by_hand ON channel_turns USING btree (conversation_id, id) WHERE (agent = 'person'::text);
CREATE INDEX channel_turns_conversation ON channel_turns USING btree (conversation_id, id);
CREATE INDEX channel_turns_failed_in_outage ON channel_turns USING btree (finished_at, id) WHERE (outage_id IS NOT NULL);
CREATE INDEX channel_turns_outage ON channel_turns USING btree (outage_id, conversation_id) WHERE (outage_id IS NOT NULL);
CREATE INDEX channel_turns_unusual ON channel_turns USING btree (state, id) WHERE (state = ANY (ARRAY['failed'::text, 'silent'::text]));
CREATE INDEX channel_turns_unusual_of ON channel_turns USING btree (conversation_id, state, id) WHERE (state = ANY (ARRAY['failed'::text, 'silent'::text]));
CREATE UNIQUE INDEX channel_turns_retry_of ON channel_turns USING btree (retry_of) WHERE (retry_of IS NOT NULL);
CREATE UNIQUE INDEX channel_turns_running ON channel_turns USING btree (conversation_id) WHERE (state = 'running'::text);
CREATE TRIGGER channel_note_reply AFTER UPDATE OF state ON channel_turns FOR EACH ROW WHEN (((old.state = 'running'::text) AND ((new.state = 'replied'::text) OR ((new.state = 'failed'::text) AND (new.slot_id IS NULL) AND (new.no_apology IS NULL))))) EXECUTE FUNCTION channel_note_turn();
CREATE TRIGGER channel_note_turn AFTER INSERT ON channel_turns REFERENCING NEW TABLE AS said_now FOR EACH STATEMENT EXECUTE FUNCTION channel_note_turns();

CREATE TABLE channel_unusable_entries (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    sid TEXT,
    reason TEXT NOT NULL,
    listed_at TIMESTAMP WITH TIME ZONE,
    times INTEGER NOT NULL DEFAULT 1,
    first_seen_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    last_seen_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    taken_in_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    UNIQUE (sid)
);

CREATE TABLE channel_user_agents (
    user_id TEXT NOT NULL,
    base_url TEXT,
    token BYTEA,
    sealed_by TEXT,
    agent_id TEXT,
    model TEXT,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CHECK (((token IS NULL) = (sealed_by IS NULL))),
    CHECK (((token IS NULL) OR (base_url IS NOT NULL))),
    FOREIGN KEY (user_id) REFERENCES channel_users(id) ON DELETE CASCADE,
    PRIMARY KEY (user_id)
);
CREATE INDEX channel_user_agents_sealed_by ON channel_user_agents USING btree (sealed_by, user_id) WHERE (token IS NOT NULL);

CREATE TABLE channel_users (
    id TEXT NOT NULL,
    plan TEXT NOT NULL,
    anchor_day SMALLINT,
    anchor_since TIMESTAMP WITH TIME ZONE,
    former_anchor_day SMALLINT,
    paused BOOLEAN NOT NULL DEFAULT false,
    timezone TEXT,
    quiet_from TIME WITHOUT TIME ZONE,
    quiet_to TIME WITHOUT TIME ZONE,
    attributes JSONB NOT NULL DEFAULT '{}'::jsonb,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CHECK (((anchor_day >= 1) AND (anchor_day <= 31))),
    CHECK (((former_anchor_day >= 1) AND (former_anchor_day <= 31))),
    CHECK (((quiet_from IS NULL) = (quiet_to IS NULL))),
    CHECK ((jsonb_typeof(attributes) = 'object'::text)),
    CHECK ((quiet_from <> quiet_to)),
    PRIMARY KEY (id)
);
CREATE INDEX channel_users_id_begins ON channel_users USING btree (id text_pattern_ops);
CREATE INDEX channel_users_name_begins ON channel_users USING btree (lower((attributes ->> 'name'::text)) text_pattern_ops);
CREATE INDEX channel_users_plan ON channel_users USING btree (plan, id);
CREATE INDEX channel_users_timezone ON channel_users USING btree (timezone, id);

CREATE TABLE channel_users_elsewhere (
    user_id TEXT NOT NULL,
    cell TEXT NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (user_id)
);

CREATE TABLE queue.attempts (
    job_id BIGINT NOT NULL,
    attempt SMALLINT NOT NULL,
    outcome TEXT NOT NULL,
    worker_id BIGINT,
    started_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    error TEXT,
    CHECK ((outcome = ANY (ARRAY['failed'::text, 'dead'::text, 'snoozed'::text, 'crashed'::text, 'handed_back'::text, 'cancelled'::text])))
);
CREATE INDEX attempts_ended ON queue.attempts USING btree (ended_at);
CREATE INDEX attempts_job ON queue.attempts USING btree (job_id, ended_at);

CREATE TABLE queue.audit (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL,
    before TEXT,
    after TEXT,
    PRIMARY KEY (id)
);
CREATE INDEX audit_user ON queue.audit USING btree (target) WHERE (target ~~ 'user %'::text);

CREATE TABLE queue.dead (
    id BIGINT NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    attempt SMALLINT NOT NULL,
    max_attempts SMALLINT NOT NULL,
    crashes SMALLINT NOT NULL,
    priority SMALLINT NOT NULL,
    kind TEXT NOT NULL,
    pool TEXT NOT NULL,
    lane TEXT,
    unique_key TEXT,
    traceparent TEXT,
    reason TEXT NOT NULL,
    failure_group TEXT NOT NULL,
    payload JSONB NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX dead_finished ON queue.dead USING btree (finished_at);
CREATE INDEX dead_group ON queue.dead USING btree (failure_group, id);
CREATE INDEX dead_group_times ON queue.dead USING btree (failure_group, finished_at);
CREATE INDEX dead_kind ON queue.dead USING btree (kind, id);
CREATE INDEX dead_lane ON queue.dead USING btree (lane) WHERE (lane IS NOT NULL);
CREATE INDEX dead_pool ON queue.dead USING btree (pool, id);
CREATE TRIGGER group_failure BEFORE INSERT OR UPDATE OF kind, reason ON queue.dead FOR EACH ROW EXECUTE FUNCTION queue.group_failure();

CREATE TABLE queue.finished (
    id BIGINT NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    claimed_at TIMESTAMP WITH TIME ZONE,
    worker_id BIGINT,
    claim BIGINT,
    attempt SMALLINT NOT NULL,
    crashes SMALLINT NOT NULL,
    cancelled BOOLEAN NOT NULL,
    kind TEXT NOT NULL,
    pool TEXT NOT NULL,
    lane TEXT,
    unique_key TEXT,
    traceparent TEXT,
    reason TEXT,
    payload JSONB NOT NULL
) PARTITION BY RANGE (finished_at);
CREATE INDEX finished_cancelled ON ONLY queue.finished USING btree (id) WHERE cancelled;
CREATE INDEX finished_id ON ONLY queue.finished USING btree (id);

CREATE TABLE queue.finished_default (
    id BIGINT NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    claimed_at TIMESTAMP WITH TIME ZONE,
    worker_id BIGINT,
    claim BIGINT,
    attempt SMALLINT NOT NULL,
    crashes SMALLINT NOT NULL,
    cancelled BOOLEAN NOT NULL,
    kind TEXT NOT NULL,
    pool TEXT NOT NULL,
    lane TEXT,
    unique_key TEXT,
    traceparent TEXT,
    reason TEXT,
    payload JSONB NOT NULL
);

CREATE TABLE queue.jobs (
    id BIGINT NOT NULL DEFAULT nextval('queue.job_ids'::regclass),
    run_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    claimed_at TIMESTAMP WITH TIME ZONE,
    worker_id BIGINT,
    claim BIGINT,
    priority SMALLINT NOT NULL DEFAULT 0,
    attempt SMALLINT NOT NULL DEFAULT 0,
    max_attempts SMALLINT NOT NULL,
    crashes SMALLINT NOT NULL DEFAULT 0,
    suspicion SMALLINT NOT NULL DEFAULT 0,
    snoozes INTEGER NOT NULL DEFAULT 0,
    state QUEUE.STATE NOT NULL,
    probing BOOLEAN NOT NULL DEFAULT false,
    woken BOOLEAN NOT NULL DEFAULT false,
    cancel_asked BOOLEAN NOT NULL DEFAULT false,
    kind TEXT NOT NULL,
    pool TEXT NOT NULL,
    lane TEXT,
    unique_key TEXT,
    traceparent TEXT,
    payload JSONB NOT NULL,
    phase QUEUE.PHASE NOT NULL GENERATED ALWAYS AS ( CASE state WHEN 'held'::queue.state THEN 'held'::queue.phase WHEN 'scheduled'::queue.state THEN 'scheduled'::queue.phase WHEN 'parked'::queue.state THEN 'parked'::queue.phase ELSE 'due'::queue.phase END) STORED,
    CHECK ((max_attempts > 0)),
    PRIMARY KEY (id)
) WITH (fillfactor=45, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_cost_delay=0);
CREATE INDEX jobs_due ON queue.jobs USING btree (pool, priority DESC, id) WHERE ((phase = 'due'::queue.phase) AND (suspicion = 0));
CREATE INDEX jobs_failing ON queue.jobs USING btree (id) WHERE (attempt > 0);
CREATE INDEX jobs_kind ON queue.jobs USING btree (kind, id);
CREATE INDEX jobs_lane_held ON queue.jobs USING btree (lane, priority DESC, id) WHERE (phase = 'held'::queue.phase);
CREATE INDEX jobs_parked ON queue.jobs USING btree (kind) WHERE (phase = 'parked'::queue.phase);
CREATE INDEX jobs_parked_suspect ON queue.jobs USING btree (kind) WHERE ((phase = 'parked'::queue.phase) AND (suspicion > 0));
CREATE INDEX jobs_scheduled ON queue.jobs USING btree (run_at) WHERE (phase = 'scheduled'::queue.phase);
CREATE INDEX jobs_suspect ON queue.jobs USING btree (pool, suspicion, id) WHERE ((phase = 'due'::queue.phase) AND (suspicion > 0));
CREATE INDEX jobs_to_stop ON queue.jobs USING btree (id) WHERE cancel_asked;
CREATE UNIQUE INDEX jobs_lane_head ON queue.jobs USING btree (lane) WHERE ((lane IS NOT NULL) AND (phase <> 'held'::queue.phase));
CREATE UNIQUE INDEX jobs_unique_key ON queue.jobs USING btree (unique_key) WHERE (unique_key IS NOT NULL);

CREATE TABLE queue.kinds (
    kind TEXT NOT NULL,
    on_end_kind TEXT,
    on_end_pool TEXT,
    on_end_attempts SMALLINT,
    kept BOOLEAN NOT NULL DEFAULT false,
    CHECK ((num_nulls(on_end_kind, on_end_pool, on_end_attempts) = ANY (ARRAY[0, 3]))),
    PRIMARY KEY (kind)
);

CREATE TABLE queue.pauses (
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    paused_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    paused_by TEXT NOT NULL,
    reason TEXT,
    CHECK ((scope = ANY (ARRAY['pool'::text, 'kind'::text]))),
    PRIMARY KEY (scope, name)
);

CREATE TABLE queue.trials (
    filler TEXT NOT NULL
);

CREATE TABLE queue.unknown_kinds (
    kind TEXT NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    PRIMARY KEY (kind)
);

CREATE TABLE queue.workers (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    version TEXT,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    renewed_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    lease_until TIMESTAMP WITH TIME ZONE NOT NULL,
    calls_from BIGINT NOT NULL DEFAULT 0,
    kinds TEXT[],
    pools JSONB NOT NULL DEFAULT '{}'::jsonb,
    PRIMARY KEY (id)
);

CREATE TABLE whatsapp_consents (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    user_id TEXT NOT NULL,
    phone TEXT,
    phone_hash BYTEA NOT NULL,
    hashed_by TEXT NOT NULL,
    method TEXT NOT NULL,
    action TEXT NOT NULL,
    text TEXT NOT NULL,
    version TEXT NOT NULL,
    message_sid TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    CHECK ((action = ANY (ARRAY['granted'::text, 'revoked'::text]))),
    CHECK ((method = ANY (ARRAY['claim_flow'::text, 'inbound_start'::text, 'inbound_stop'::text, 'admin'::text, 'provider'::text]))),
    PRIMARY KEY (id)
);
CREATE INDEX whatsapp_consents_hashed_by ON whatsapp_consents USING btree (hashed_by, id);
CREATE INDEX whatsapp_consents_user ON whatsapp_consents USING btree (user_id, id);
CREATE TRIGGER channel_tell_consent AFTER INSERT ON whatsapp_consents FOR EACH ROW EXECUTE FUNCTION channel_tell_consent();

CREATE TABLE whatsapp_proactive_opt_outs (
    phone_hash BYTEA NOT NULL,
    hashed_by TEXT NOT NULL,
    phone TEXT,
    user_id TEXT,
    keyword TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (phone_hash)
);
CREATE INDEX whatsapp_proactive_opt_outs_hashed_by ON whatsapp_proactive_opt_outs USING btree (hashed_by, phone_hash);
CREATE INDEX whatsapp_proactive_opt_outs_user ON whatsapp_proactive_opt_outs USING btree (user_id) WHERE (user_id IS NOT NULL);

CREATE TABLE whatsapp_send_ledger (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    user_id TEXT NOT NULL,
    period_start TIMESTAMP WITH TIME ZONE NOT NULL,
    chunk_id BIGINT NOT NULL,
    event TEXT NOT NULL,
    was TEXT,
    at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    CHECK ((event = ANY (ARRAY['reserved'::text, 'used'::text, 'released'::text, 'credited'::text, 'withdrawn'::text]))),
    CHECK ((was = ANY (ARRAY['reserved'::text, 'used'::text, 'released'::text, 'credited'::text]))),
    PRIMARY KEY (id)
);
CREATE INDEX whatsapp_send_ledger_user ON whatsapp_send_ledger USING btree (user_id, period_start);

CREATE TABLE whatsapp_send_sums (
    user_id TEXT NOT NULL,
    period_start TIMESTAMP WITH TIME ZONE NOT NULL,
    event TEXT NOT NULL,
    was TEXT,
    number INTEGER NOT NULL,
    CHECK ((number > 0)),
    UNIQUE NULLS NOT DISTINCT (user_id, period_start, event, was)
);

CREATE TABLE whatsapp_sends (
    user_id TEXT NOT NULL,
    period_start TIMESTAMP WITH TIME ZONE NOT NULL,
    period_end TIMESTAMP WITH TIME ZONE NOT NULL,
    used INTEGER NOT NULL DEFAULT 0,
    reserved INTEGER NOT NULL DEFAULT 0,
    credited INTEGER NOT NULL DEFAULT 0,
    CHECK ((credited >= 0)),
    CHECK ((period_start < period_end)),
    CHECK ((reserved >= 0)),
    CHECK ((used >= 0)),
    PRIMARY KEY (user_id, period_start)
) WITH (fillfactor=50);

-- CREATE VIEW queue.every_job, with the columns
--    id BIGINT,
--    state TEXT,
--    kind TEXT,
--    pool TEXT,
--    lane TEXT,
--    unique_key TEXT,
--    priority INTEGER,
--    failed_attempts INTEGER,
--    max_attempts INTEGER,
--    crashes INTEGER,
--    snoozes INTEGER,
--    run_at TIMESTAMP WITH TIME ZONE,
--    created_at TIMESTAMP WITH TIME ZONE,
--    claimed_at TIMESTAMP WITH TIME ZONE,
--    finished_at TIMESTAMP WITH TIME ZONE,
--    worker_id BIGINT,
--    cancel_asked BOOLEAN,
--    reason TEXT,
--    traceparent TEXT,
--    payload JSONB
-- CREATE FUNCTION channel_add_entry(conversation bigint, message bigint, turn bigint) RETURNS void LANGUAGE plpgsql SET enable_seqscan=off SET plan_cache_mode=force_generic_plan
-- CREATE FUNCTION channel_identify_writer(aliases text[], canonical_names text[], OUT address_id bigint, OUT last_inbound_at timestamp with time zone, OUT twins bigint[], OUT holder bigint) RETURNS record LANGUAGE plpgsql SET jit=off SET enable_seqscan=off SET enable_hashjoin=off SET enable_mergejoin=off SET plan_cache_mode=force_generic_plan
-- CREATE FUNCTION channel_known_writers(places integer[], aliases text[], canonical_names text[]) RETURNS TABLE(place integer, address_id bigint) LANGUAGE sql
-- CREATE FUNCTION channel_note_message() RETURNS trigger LANGUAGE plpgsql
-- CREATE FUNCTION channel_note_turn() RETURNS trigger LANGUAGE plpgsql
-- CREATE FUNCTION channel_note_turns() RETURNS trigger LANGUAGE plpgsql SET jit=off SET enable_seqscan=off
-- CREATE FUNCTION channel_take_in(places integer[], aliases text[], canonical_names text[], sids text[], bodies text[], all_params jsonb[]) RETURNS TABLE(place integer, address_id bigint, message_id bigint, written_at timestamp with time zone, waiting_user text) LANGUAGE plpgsql SET jit=off SET enable_seqscan=off SET enable_hashjoin=off SET enable_mergejoin=off SET plan_cache_mode=force_generic_plan
-- CREATE FUNCTION channel_tell_consent() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan=off
-- CREATE FUNCTION channel_tell_delivery() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan=off
-- CREATE FUNCTION channel_tell_product(about text, content jsonb) RETURNS void LANGUAGE sql
-- CREATE FUNCTION channel_tell_read() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan=off
-- CREATE FUNCTION whatsapp_meter(metered channel_chunks, event text) RETURNS void LANGUAGE plpgsql SET jit=off SET enable_seqscan=off
-- CREATE FUNCTION whatsapp_meter_state() RETURNS trigger LANGUAGE plpgsql
-- CREATE FUNCTION whatsapp_reserve(users text[], starts timestamp with time zone[], numbers integer[], caps bigint[]) RETURNS SETOF text LANGUAGE plpgsql SET enable_seqscan=off SET plan_cache_mode=force_generic_plan
-- CREATE FUNCTION whatsapp_withdraw_credit() RETURNS trigger LANGUAGE plpgsql SET jit=off SET enable_seqscan=off
-- CREATE FUNCTION queue.advance(lanes text[]) RETURNS text[] LANGUAGE plpgsql SET jit=off SET enable_seqscan=off SET enable_hashjoin=off SET enable_mergejoin=off SET enable_bitmapscan=off SET plan_cache_mode=force_generic_plan
-- CREATE FUNCTION queue.bury(job_id bigint, reason text) RETURNS void LANGUAGE plpgsql SET jit=off SET enable_seqscan=off
-- CREATE FUNCTION queue.cancel(job_id bigint, why text) RETURNS text LANGUAGE plpgsql SET jit=off SET enable_seqscan=off
-- CREATE FUNCTION queue.claim_jobs(for_worker bigint, from_pool text, slots integer, call bigint) RETURNS TABLE(id bigint, claim bigint, kind text, lane text, attempt smallint, max_attempts smallint, suspicion smallint, traceparent text, payload jsonb, place tid) LANGUAGE plpgsql SET jit=off SET enable_seqscan=off SET enable_hashjoin=off SET enable_mergejoin=off SET enable_bitmapscan=off SET plan_cache_mode=force_generic_plan
-- CREATE FUNCTION queue.claim_parked(for_worker bigint, from_pool text, slots integer, fence bigint, known text[], paused text[]) RETURNS TABLE(id bigint, claim bigint, kind text, lane text, attempt smallint, max_attempts smallint, suspicion smallint, traceparent text, payload jsonb, place tid) LANGUAGE plpgsql SET jit=off SET enable_seqscan=off SET enable_hashjoin=off SET enable_mergejoin=off SET enable_bitmapscan=off SET plan_cache_mode=force_generic_plan
-- CREATE FUNCTION queue.claim_suspect(for_worker bigint, from_pool text, worst smallint, call bigint) RETURNS SETOF queue.jobs LANGUAGE plpgsql SET jit=off SET enable_seqscan=off SET plan_cache_mode=force_custom_plan
-- CREATE FUNCTION queue.complete_one(job_id bigint, fence bigint) RETURNS text[] LANGUAGE plpgsql SET enable_seqscan=off
-- CREATE FUNCTION queue.drop_history(partition text) RETURNS integer LANGUAGE plpgsql SET lock_timeout=200ms
-- CREATE FUNCTION queue.end_cancelled(job_id bigint, why text) RETURNS void LANGUAGE plpgsql SET jit=off SET enable_seqscan=off
-- CREATE FUNCTION queue.enqueue(kinds text[], pools text[], payloads jsonb[], priorities smallint[], run_ats timestamp with time zone[], lanes text[], unique_keys text[], max_attempts smallint[], traceparents text[]) RETURNS bigint[] LANGUAGE plpgsql SET jit=off SET enable_seqscan=off SET enable_nestloop=off SET enable_mergejoin=off SET plan_cache_mode=force_generic_plan
-- CREATE FUNCTION queue.error_shape(error text) RETURNS text LANGUAGE sql
-- CREATE FUNCTION queue.failure_group(kind text, error text) RETURNS text LANGUAGE sql
-- CREATE FUNCTION queue.find_strays() RETURNS integer LANGUAGE plpgsql SET jit=off SET enable_seqscan=off
-- CREATE FUNCTION queue.finish(job_ids bigint[], claims bigint[], patient boolean, OUT ended bigint[], OUT woken_pools text[], OUT locked bigint[]) RETURNS record LANGUAGE plpgsql SET jit=off SET enable_seqscan=off SET enable_hashjoin=off SET enable_mergejoin=off SET enable_bitmapscan=off SET plan_cache_mode=force_generic_plan
-- CREATE FUNCTION queue.finish_at(places tid[], job_ids bigint[], claims bigint[], of_claims bigint[]) RETURNS void LANGUAGE plpgsql SET jit=off SET enable_seqscan=off SET enable_hashjoin=off SET enable_mergejoin=off SET enable_bitmapscan=off SET plan_cache_mode=force_generic_plan
-- CREATE FUNCTION queue.finish_free(job_ids bigint[], claims bigint[]) RETURNS void LANGUAGE plpgsql SET jit=off SET enable_seqscan=off SET enable_hashjoin=off SET enable_mergejoin=off SET enable_bitmapscan=off SET plan_cache_mode=force_generic_plan
-- CREATE FUNCTION queue.follow_up(ended queue.jobs, ended_as text, reason text) RETURNS void LANGUAGE plpgsql
-- CREATE FUNCTION queue.group_failure() RETURNS trigger LANGUAGE plpgsql
-- CREATE FUNCTION queue.hand_back_forgotten(job_ids bigint[], claims bigint[]) RETURNS integer LANGUAGE plpgsql
-- CREATE FUNCTION queue.hand_back_unknown(for_worker bigint, from_pool text, suspects boolean, known bigint[], fences bigint[], call bigint) RETURNS integer LANGUAGE plpgsql SET jit=off SET enable_seqscan=off
-- CREATE FUNCTION queue.heal_lanes() RETURNS text[] LANGUAGE plpgsql SET jit=off SET enable_seqscan=off SET enable_hashjoin=off SET enable_mergejoin=off SET enable_bitmapscan=off SET plan_cache_mode=force_custom_plan
-- CREATE FUNCTION queue.held_by(workers bigint[]) RETURNS bigint[] LANGUAGE plpgsql SET jit=off SET enable_seqscan=off SET plan_cache_mode=force_custom_plan
-- CREATE FUNCTION queue.leave(leaving bigint, known bigint[] DEFAULT NULL::bigint[]) RETURNS integer LANGUAGE plpgsql SET jit=off SET enable_seqscan=off
-- CREATE FUNCTION queue.move_head(of_lane text, of_kind text, moment timestamp with time zone) RETURNS text LANGUAGE plpgsql SET enable_seqscan=off SET plan_cache_mode=force_generic_plan
-- CREATE FUNCTION queue.new_fence() RETURNS bigint LANGUAGE sql
-- CREATE FUNCTION queue.prepare_history(days integer) RETURNS void LANGUAGE plpgsql SET lock_timeout=200ms
-- CREATE FUNCTION queue.prune(days integer) RETURNS integer LANGUAGE plpgsql SET jit=off SET enable_seqscan=off
-- CREATE FUNCTION queue.rescue(crash_limit integer) RETURNS integer LANGUAGE plpgsql SET jit=off SET enable_seqscan=off
-- CREATE FUNCTION queue.retry_dead(dead_id bigint) RETURNS text LANGUAGE plpgsql SET jit=off SET enable_seqscan=off
-- CREATE FUNCTION queue.settle(job_id bigint, fence bigint, verdict text, delay_secs double precision, error text) RETURNS text LANGUAGE plpgsql SET jit=off SET enable_seqscan=off
-- CREATE FUNCTION queue.tick(for_worker bigint, pools text[], crash_limit integer, OUT ready text[], OUT suspects text[], OUT cancels bigint[], OUT rescued integer, OUT others boolean, OUT next_ms double precision) RETURNS record LANGUAGE plpgsql SET jit=off SET enable_seqscan=off SET enable_hashjoin=off SET enable_mergejoin=off SET enable_bitmapscan=off SET plan_cache_mode=force_custom_plan
-- CREATE FUNCTION queue.unknown_claims(for_worker bigint, pools text[], upto bigint[], known bigint[], fences bigint[], OUT id bigint, OUT claim bigint) RETURNS SETOF record LANGUAGE plpgsql SET jit=off SET enable_seqscan=off SET enable_hashjoin=off SET enable_mergejoin=off SET enable_bitmapscan=off SET plan_cache_mode=force_custom_plan
-- CREATE FUNCTION queue.wake(key text) RETURNS text LANGUAGE plpgsql SET enable_seqscan=off SET plan_cache_mode=force_generic_plan
-- CREATE FUNCTION queue.write_on_trial() RETURNS void LANGUAGE plpgsql
