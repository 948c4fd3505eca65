-- What the database has, as one text that is the same on every server version: types, tables with their columns, constraints, indexes and triggers, views,
-- and the signatures of functions.
WITH ours AS (
    SELECT oid, nspname FROM pg_namespace WHERE nspname IN ('public', 'queue')
), relations AS (
    SELECT c.oid, c.relkind, c.reloptions, format('%s%s', CASE WHEN o.nspname = 'public' THEN '' ELSE o.nspname || '.' END, c.relname) AS name
    FROM pg_class c JOIN ours o ON o.oid = c.relnamespace
    -- Partitions of days come and go.
    WHERE c.relkind IN ('r', 'p', 'v') AND c.relname <> '_sqlx_migrations' AND c.relname !~ '^finished_[0-9]{8}$'
), columns AS (
    SELECT r.oid,
           string_agg(format('    %s %s%s%s', a.attname, upper(format_type(a.atttypid, a.atttypmod)), CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
               CASE WHEN a.attidentity <> '' THEN ' GENERATED ALWAYS AS IDENTITY'
                    WHEN a.attgenerated <> '' THEN format(' GENERATED ALWAYS AS (%s) STORED', regexp_replace(pg_get_expr(d.adbin, d.adrelid), '\s+', ' ', 'g'))
                    WHEN d.adbin IS NOT NULL THEN ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)
                    ELSE '' END), E',\n' ORDER BY a.attnum) AS lines
    FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
    GROUP BY r.oid
), constraints AS (
    SELECT r.oid, string_agg(E',\n    ' || pg_get_constraintdef(k.oid), '' ORDER BY k.contype, pg_get_constraintdef(k.oid)) AS lines
    FROM relations r JOIN pg_constraint k ON k.conrelid = r.oid AND k.contype IN ('c', 'f', 'p', 'u') AND k.conparentid = 0
    GROUP BY r.oid
), indexes AS (
    SELECT r.oid, string_agg(format(E'\n%s;', replace(pg_get_indexdef(i.indexrelid), ' public.', ' ')), '' ORDER BY pg_get_indexdef(i.indexrelid)) AS lines
    FROM relations r JOIN pg_index i ON i.indrelid = r.oid
    WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u'))
      AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)
    GROUP BY r.oid
), triggers AS (
    SELECT r.oid, string_agg(format(E'\n%s;', replace(pg_get_triggerdef(t.oid), ' public.', ' ')), '' ORDER BY t.tgname) AS lines
    FROM relations r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    GROUP BY r.oid
), items AS (
    SELECT 1 AS part, t.typname::TEXT AS name,
           format('CREATE TYPE %s.%s AS ENUM (%s);', o.nspname, t.typname, string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)) AS text
    FROM pg_type t JOIN ours o ON o.oid = t.typnamespace JOIN pg_enum e ON e.enumtypid = t.oid GROUP BY o.nspname, t.typname
    UNION ALL
    SELECT 2, c.relname, format('CREATE SEQUENCE %s.%s;', o.nspname, c.relname)
    FROM pg_class c JOIN ours o ON o.oid = c.relnamespace
    WHERE c.relkind = 'S' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'i')
    UNION ALL
    SELECT CASE WHEN r.relkind = 'v' THEN 4 ELSE 3 END, r.name,
           CASE WHEN r.relkind = 'v' THEN format(E'-- CREATE VIEW %s, with the columns\n%s', r.name, regexp_replace(columns.lines, '^', '--', 'gn'))
                ELSE format(E'CREATE TABLE %s (\n%s%s\n)%s%s;%s%s', r.name, columns.lines, coalesce(constraints.lines, ''),
                            CASE WHEN r.relkind = 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(r.oid) ELSE '' END,
                            CASE WHEN r.reloptions IS NULL THEN '' ELSE format(' WITH (%s)', array_to_string(r.reloptions, ', ')) END, coalesce(indexes.lines, ''), coalesce(triggers.lines, ''))
           END
    FROM relations r JOIN columns USING (oid) LEFT JOIN constraints USING (oid) LEFT JOIN indexes USING (oid) LEFT JOIN triggers USING (oid)
    UNION ALL
    SELECT 5, format('%s.%s(%s)', o.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
           format('-- CREATE %s %s(%s)%s LANGUAGE %s%s', CASE WHEN p.prokind = 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
                  CASE WHEN o.nspname = 'public' THEN '' ELSE o.nspname || '.' END || p.proname, pg_get_function_arguments(p.oid),
                  coalesce(' RETURNS ' || pg_get_function_result(p.oid), ''), l.lanname, coalesce(' SET ' || array_to_string(p.proconfig, ' SET '), ''))
    FROM pg_proc p JOIN ours o ON o.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
)
SELECT string_agg(text, CASE WHEN part = 5 THEN E'\n' ELSE E'\n\n' END ORDER BY part, name) || E'\n' FROM items
