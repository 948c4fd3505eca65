//! What the databases of tests are made of.

use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, PgConnection};

/// Tables, and functions over them.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a> {
    /// Make the tables.
    pub migrations: &'a Migrator,
    /// Makes the functions, which may be there already.
    pub functions: &'a str,
}

impl Schema<'_> {
    /// Makes it in an empty database.
    pub(crate) async fn build(&self, conn: &mut PgConnection) {
        self.migrations.run(&mut *conn).await.unwrap_or_else(|error| panic!("the migrations fail: {error}"));
        let functions = sqlx::raw_sql(AssertSqlSafe(self.functions)).execute(conn).await;
        functions.unwrap_or_else(|error| panic!("the functions fail: {error}"));
    }

    /// Changes with every change of it.
    pub(crate) fn fingerprint(&self) -> u64 {
        let migrations = self.migrations.iter().flat_map(|migration| migration.checksum.iter().copied());
        // FNV-1a: every process must come to the same number.
        migrations
            .chain(self.functions.bytes())
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}
