#!/usr/bin/env bash
# sqlx 0.9.0 with PostgreSQL: a migration that fails leaves the migrator's advisory lock on its pooled connection.
#
# `Migrator::run` on a pool takes `pg_advisory_lock`, which belongs to the session, and gives it back only where every migration succeeds. After an error
# the connection returns to the pool with the lock, and stays open. Whoever migrates next, another process that starts at the same time for one, waits for
# as long as the first process keeps its pool, without an error and without a log line. A good engineer expects that an error ends what `run` began.
#
# Output seen, PostgreSQL 15: `after the error 1 advisory lock is held` and `a second run waits for more than 3 seconds`.
# What helps: run migrations on a connection of its own and close that, whatever comes of it.
set -euo pipefail

folder=$(mktemp -d)
bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb | sort -V | tail -1)")
as=()
[ "$(id -u)" -ne 0 ] || { as=(runuser -u postgres --); chown postgres "$folder"; }
chmod 755 "$folder"
clean() {
    "${as[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap clean EXIT
(cd / && "${as[@]}" "$bin/initdb" -D "$folder/data" -U finder -A trust >/dev/null)
(cd / && "${as[@]}" "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/data/log" -o "-c listen_addresses='' -k $folder" start >/dev/null)

mkdir -p "$folder/probe/src" "$folder/probe/migrations"
cat >"$folder/probe/Cargo.toml" <<'TOML'
[package]
name = "probe"
version = "0.0.0"
edition = "2024"

[dependencies]
sqlx = { version = "=0.9.0", default-features = false, features = ["postgres", "runtime-tokio", "migrate"] }
tokio = { version = "1", features = ["macros", "rt", "time"] }
TOML
echo "SELECT 1 / 0;" >"$folder/probe/migrations/1_fails.sql"
cat >"$folder/probe/src/main.rs" <<'RUST'
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args().nth(1).unwrap();
    let pool = || PgPoolOptions::new().max_connections(2).connect(&url);
    let migrator = Migrator::new(std::path::Path::new("migrations")).await.unwrap();
    let (first, second) = (pool().await.unwrap(), pool().await.unwrap());

    let error = migrator.run(&first).await.unwrap_err();
    println!("the first run: {error}");
    let held: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")
        .fetch_one(&second)
        .await
        .unwrap();
    println!("after the error {held} advisory lock is held");
    match tokio::time::timeout(Duration::from_secs(3), migrator.run(&second)).await {
        Err(_) => println!("a second run waits for more than 3 seconds"),
        Ok(done) => println!("a second run ends: {done:?}"),
    }
}
RUST
cd "$folder/probe"
cargo build -q
output=$(./target/debug/probe "postgres://finder@localhost/postgres?host=$folder")
echo "$output"
grep -q "after the error 1 advisory lock is held" <<<"$output"
grep -q "a second run waits for more than 3 seconds" <<<"$output"
