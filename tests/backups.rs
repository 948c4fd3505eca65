//! A dump of the database is all that has to be kept: restored elsewhere, the service goes on from it.

use std::path::PathBuf;
use std::process::Command;

use private_postgres::test_database::TestDatabase;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{ACCOUNT_SID, NUMBER, PERSON, TestApp};

/// A program of the running server's own folder.
async fn program(app: &TestApp, name: &str) -> Option<PathBuf> {
    let folder = app.text("SELECT setting FROM pg_config WHERE name = 'BINDIR'").await;
    Some(PathBuf::from(folder).join(name)).filter(|program| program.exists())
}

fn run(program: &PathBuf, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The app's database once more, by pg_dump and pg_restore. A server without them copies it.
async fn restored(app: &TestApp) -> TestDatabase {
    let new = TestDatabase::empty().await;
    let (from, to) = (app.pg.connect_options(), new.connect_options());
    let (dump, restore) = (program(app, "pg_dump").await, program(app, "pg_restore").await);
    let (Some(dump), Some(restore)) = (dump, restore) else {
        let admin = sqlx::PgPool::connect_with(to.clone().database("postgres")).await.unwrap();
        let (from, to) = (from.get_database().unwrap(), to.get_database().unwrap());
        app.pg.close().await;
        for statement in [
            format!("DROP DATABASE \"{to}\" WITH (FORCE)"),
            format!("CREATE DATABASE \"{to}\" TEMPLATE \"{from}\""),
        ] {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&admin).await.unwrap();
        }
        return new;
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let (file, from, to) = (file.path().to_str().unwrap(), app.database_url(), new.url());
    run(&dump, &["--format", "custom", "--file", file, from]);
    run(&restore, &["--exit-on-error", "--no-owner", "--dbname", to, file]);
    new
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_dump_goes_on_where_the_service_was_stopped() {
    let mut app = TestApp::start().await;
    app.link(PERSON).await;
    let form = [
        ("MessageSid", "SM1"),
        ("From", PERSON),
        ("To", NUMBER),
        ("AccountSid", ACCOUNT_SID),
        ("Body", "Before"),
    ];
    let signature = app.sign("/webhooks/whatsapp", &form);
    app.post("/webhooks/whatsapp", &form, Some(&signature)).await;
    app.replies(PERSON, 1).await;
    app.drained_well().await;
    // What waits is in the dump, too.
    let pause = json!({ "scope": "pool", "name": "replies", "reason": "before a backup" });
    assert_eq!(app.admin(Method::POST, "/jobs/pause", pause).await.0, 200);
    app.write(PERSON, "Meanwhile").await;
    app.until("the reply waits", async || {
        app.count("SELECT count(*) FROM channel_chunks WHERE state = 'planned'").await == Some(1)
    })
    .await;
    assert_eq!(app.terminate().await, Some(0));

    let database = restored(&app).await;
    app.turn_to(database);
    app.launch().await;
    let again = app.post("/webhooks/whatsapp", &form, Some(&signature)).await;
    assert_eq!(again.status(), 200);
    let (status, pauses) = app.admin(Method::GET, "/pauses", Value::Null).await;
    assert_eq!(status, 200);
    assert!(pauses.to_string().contains("before a backup"), "{pauses}");
    let resume = json!({ "scope": "pool", "name": "replies" });
    assert_eq!(app.admin(Method::POST, "/jobs/resume", resume).await.0, 200);
    app.replies(PERSON, 2).await;
    app.write(PERSON, "After").await;
    app.replies(PERSON, 3).await;
    app.drained_well().await;

    let said = app.said_to(PERSON);
    assert_eq!(said.len(), 3, "{said:?}");
    for (text, words) in said.iter().zip(["Before", "Meanwhile", "After"]) {
        assert!(text.contains(words), "{said:?}");
    }
}
