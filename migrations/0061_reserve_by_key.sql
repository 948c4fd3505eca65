-- Reserves in allowances that there are, for each user all or nothing; returns the users who got theirs. A row at a time and by its key: in one joined
-- statement, a plan that was made while the table was empty read all of it again for each user of a page.
CREATE FUNCTION whatsapp_reserve(users TEXT[], starts TIMESTAMPTZ[], numbers INTEGER[], caps BIGINT[]) RETURNS SETOF TEXT LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    wish RECORD;
BEGIN
    FOR wish IN
        SELECT * FROM unnest(users, starts, numbers, caps) AS w (user_id, period_start, number, cap) ORDER BY w.user_id
    LOOP
        UPDATE whatsapp_sends s SET reserved = s.reserved + wish.number
        WHERE s.user_id = wish.user_id AND s.period_start = wish.period_start AND s.used + s.reserved + wish.number <= wish.cap + s.credited;
        IF FOUND THEN
            RETURN NEXT wish.user_id;
        END IF;
    END LOOP;
END $$;
