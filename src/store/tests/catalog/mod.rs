//! The whole schema as one text, kept for people in `migrations/schema.sql`.

use std::path::Path;

use crate::Tables;

const HEADER: &str = "-- The whole schema as the database tells it, for people: never executed. `WRITE_SCHEMA=1 cargo test -p store schema_sql` writes it anew.\n\n";

#[tokio::test]
async fn schema_sql_is_what_the_migrations_make() {
    let tables = Tables::new().await;
    let told: String = sqlx::query_scalar(include_str!("catalog.sql")).fetch_one(&tables.pg).await.unwrap();
    let told = format!("{HEADER}{told}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/schema.sql");
    if std::env::var_os("WRITE_SCHEMA").is_some() {
        std::fs::write(&file, &told).unwrap();
    }

    let kept = std::fs::read_to_string(&file).unwrap();

    let other = kept.lines().zip(told.lines()).find(|(kept, told)| kept != told);
    assert!(
        kept == told,
        "run `WRITE_SCHEMA=1 cargo test -p store schema_sql`; the first difference: {other:?}"
    );
}
