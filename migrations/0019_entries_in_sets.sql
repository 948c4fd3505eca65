-- A schedule says something to many people in one statement: their threads are continued in a few more, instead of two for each of them.
DROP TRIGGER channel_note_turn ON channel_turns;
CREATE FUNCTION channel_note_turns() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    WITH said AS (
        SELECT s.id, s.conversation_id, row_number() OVER (PARTITION BY s.conversation_id ORDER BY s.id) AS place
        FROM said_now s WHERE s.state = 'replied'
    ), grown AS (
        UPDATE channel_conversations c SET entries = c.entries + more.number
        FROM (SELECT conversation_id, count(*) AS number FROM said GROUP BY conversation_id) AS more
        WHERE c.id = more.conversation_id
        RETURNING c.id, c.entries - more.number AS before
    )
    INSERT INTO channel_entries (conversation_id, number, turn_id)
    SELECT said.conversation_id, grown.before + said.place, said.id FROM said JOIN grown ON grown.id = said.conversation_id;
    RETURN NULL;
END $$;
CREATE TRIGGER channel_note_turn AFTER INSERT ON channel_turns REFERENCING NEW TABLE AS said_now
    FOR EACH STATEMENT EXECUTE FUNCTION channel_note_turns();
