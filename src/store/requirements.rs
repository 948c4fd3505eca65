//! What the database must offer. The check runs at the start and names the remedy, so that no later statement fails
//! for it.

use sqlx::PgPool;

use crate::migrations;

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UnsuitableDatabase {
    /// It cannot hold what people write.
    #[error(
        "the database {database:?} has the encoding {encoding}, which cannot hold what people write (every emoji is refused): make one with CREATE DATABASE {quoted} \
         ENCODING 'UTF8' TEMPLATE template0, under another name if this one must stay, and name it in DATABASE_URL"
    )]
    Encoding {
        /// Its name.
        database: String,
        /// The same, as SQL spells it.
        quoted: String,
        /// The encoding that it has.
        encoding: String,
    },
    /// The role may not do what the service does.
    #[error("the role {role} lacks rights: let the owner of the database, or a superuser, run: {}", .grants.join("; "))]
    Rights {
        /// Whose.
        role: String,
        /// What helps.
        grants: Vec<String>,
    },
    /// The tables belong to another role. Migrations alter them, and the queue creates a partition each day.
    #[error(
        "the tables belong to {owner}, and the role {role} cannot change them: name {owner} in DATABASE_URL, or let a superuser run: GRANT {owner} TO {role}"
    )]
    Owner {
        /// Who asks.
        role: String,
        /// Whose tables they are.
        owner: String,
    },
    /// The database refused or was away.
    #[error("the database does not answer")]
    Database(#[from] sqlx::Error),
}

/// Looks at all of it.
///
/// # Errors
/// The first thing that is wrong.
pub async fn check(pg: &PgPool) -> Result<(), UnsuitableDatabase> {
    let (database, quoted, encoding, role): (String, String, String, String) = sqlx::query_as(
        "SELECT current_database(), quote_ident(current_database()), current_setting('server_encoding'), quote_ident(current_user)",
    )
    .fetch_one(pg)
    .await?;
    if encoding != "UTF8" {
        return Err(UnsuitableDatabase::Encoding { database, quoted, encoding });
    }
    if let Some(owner) = foreign_owner(pg).await? {
        return Err(UnsuitableDatabase::Owner { role, owner });
    }
    let grants = grants(pg, migrations::missing(pg).await? > 0).await?;
    if grants.is_empty() { Ok(()) } else { Err(UnsuitableDatabase::Rights { role, grants }) }
}

/// The grants that the role still needs: to make tables where any are missing, to use them in any case.
async fn grants(pg: &PgPool, is_behind: bool) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user)
         WHERE $1 AND to_regnamespace('queue') IS NULL AND NOT has_database_privilege(current_database(), 'CREATE')
         UNION ALL
         SELECT format('GRANT USAGE%s ON SCHEMA %I TO %I', CASE WHEN $1 THEN ', CREATE' ELSE '' END, n.nspname, current_user) FROM pg_namespace n
         WHERE n.nspname IN ('public', 'queue')
           AND (NOT has_schema_privilege(n.oid, 'USAGE') OR ($1 AND NOT has_schema_privilege(n.oid, 'CREATE')))",
    )
    .bind(is_behind)
    .fetch_all(pg)
    .await
}

/// The owner of our tables, if the role may not act as that one.
async fn foreign_owner(pg: &PgPool) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(
        "SELECT quote_ident(r.rolname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
         WHERE c.relkind IN ('r', 'p') AND (n.nspname = 'queue' OR n.nspname = 'public' AND (c.relname LIKE 'channel\\_%' OR c.relname = '_sqlx_migrations'))
           AND NOT pg_has_role(c.relowner, 'USAGE') LIMIT 1",
    )
    .fetch_optional(pg)
    .await
}
