-- Whether the database takes writes is asked of it when something has failed: a full disk refuses what needs a new page, and nothing else.

-- Always empty for whoever looks: what is written here on trial is undone at once.
CREATE TABLE queue.trials (
    filler TEXT NOT NULL -- nearly a page, so that a row never finds room beside another one
);
ALTER TABLE queue.trials ALTER COLUMN filler SET STORAGE PLAIN;

-- Writes a page, undoes that, and leaves a commit that has to reach the disk. Whatever keeps that from happening is its error.
CREATE FUNCTION queue.write_on_trial() RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        INSERT INTO queue.trials (filler) VALUES (repeat('x', 7900));
        RAISE EXCEPTION USING ERRCODE = 'QU001';
    EXCEPTION WHEN SQLSTATE 'QU001' THEN
        NULL;
    END;
END $$;
