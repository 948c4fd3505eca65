-- What the channel asks is found by an index, however many people there are. Before, each of these questions read a whole table.

-- A reply looks for the latest link of its conversation's user, also one that has ended; erasing a user looks for all of them.
CREATE INDEX channel_links_of_user ON channel_links (user_id, address_id, id);
-- An erasure leaves the link, which its deliveries name, and forgets whose it was. A deletion looked for them among all deliveries.
ALTER TABLE channel_links ALTER COLUMN user_id DROP NOT NULL; -- NULL: the user was erased
COMMENT ON COLUMN channel_links.user_id IS 'whose; NULL: the user was erased';
-- Two addresses that prove to be one person take each other's links over, also those that have ended.
CREATE INDEX channel_links_of_address ON channel_links (address_id);
CREATE INDEX channel_addresses_merged ON channel_addresses (merged_into) WHERE merged_into IS NOT NULL;

-- Sends in doubt, which each round of the upkeep and an administrator look at.
CREATE INDEX channel_chunks_in_doubt ON channel_chunks (id) WHERE state IN ('sending', 'unknown');

-- Erasing a person finds what Twilio reported of each chunk, and which of them went out twice.
CREATE INDEX channel_status_callbacks_chunk ON channel_status_callbacks (chunk_id) WHERE chunk_id IS NOT NULL;
CREATE INDEX channel_double_sends_chunk ON channel_double_sends (chunk_id);

-- Administrators look for what did not end as most things do, of one user or of all. What ended as usual is everywhere, and needs no index.
CREATE INDEX channel_messages_unusual ON channel_messages (outcome, id) WHERE outcome <> 'answered';
CREATE INDEX channel_messages_unusual_of ON channel_messages (conversation_id, outcome, id) WHERE outcome <> 'answered';
CREATE INDEX channel_turns_unusual ON channel_turns (state, id) WHERE state IN ('failed', 'silent');
CREATE INDEX channel_turns_unusual_of ON channel_turns (conversation_id, state, id) WHERE state IN ('failed', 'silent');

-- Whether the agent is still at work for somebody of a slot is asked after each answer, whatever its audience.
CREATE INDEX channel_slot_users_asked ON channel_slot_users (slot_id) WHERE outcome = 'asked';

-- An audience of a plan is read in pages, in the order of the users.
CREATE INDEX channel_users_plan ON channel_users (plan, id);
