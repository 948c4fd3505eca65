-- A duty changes the counters of hundreds of neighbours in one transaction. In pages that are full each new version of a row went to another page, with a
-- new entry in every index of the table; with as much room as the rows take, it stays beside the old one, and the next duty finds that room free again.
-- Holds for rows that are written from now on.
ALTER TABLE channel_conversations SET (fillfactor = 50);
ALTER TABLE whatsapp_sends SET (fillfactor = 50);
