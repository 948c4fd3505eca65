//! Databases that cannot be used, and what is said about them.

use private_postgres::scratch_cluster::ScratchCluster;

use crate::support::{SCHEMA, TestApp};

/// A server with another database, made by these statements of its owner; the address of that database, as this role.
async fn another(
    cluster: &ScratchCluster,
    statements: &[&'static str],
    role: &str,
    database: &str,
) -> String {
    let owner = cluster.pool().await;
    for statement in statements {
        sqlx::query(*statement).execute(&owner).await.unwrap();
    }
    let (start, rest) = cluster.url().split_once('@').unwrap();
    let (host, place) = rest.split_once('/').unwrap();
    let (_, query) = place.split_once('?').unwrap();
    assert!(start.starts_with("postgres://"));
    format!("postgres://{role}@{host}/{database}?{query}")
}

/// What a start, a migration and a check say of a database that all three refuse.
async fn refusals(app: &TestApp, url: &str) -> [String; 3] {
    let env = [("DATABASE_URL", url)];
    let started = app.refused(&env).await;
    let (migrated, migration) = app.command_with(&env, &["migrate"]).await;
    let (right, check) = app.command_with(&env, &["check"]).await;
    assert!(!migrated && !right, "{migration} {check}");
    [started, migration, check]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_hold_an_emoji_is_refused_with_the_remedy() {
    let (app, cluster) = (TestApp::start().await, ScratchCluster::empty().await);
    let latin = "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    let url = another(&cluster, &[latin], "cloudybot_scratch", "latin").await;

    for said in refusals(&app, &url).await {
        assert!(said.contains("the database \"latin\" has the encoding LATIN1"), "{said}");
        assert!(said.contains("CREATE DATABASE latin ENCODING 'UTF8' TEMPLATE template0"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_rights_is_told_once_which_grants_help_and_they_do() {
    let (app, cluster) = (TestApp::start().await, ScratchCluster::empty().await);
    let made = ["CREATE ROLE limited LOGIN", "CREATE DATABASE limited"];
    let url = another(&cluster, &made, "limited", "limited").await;
    let options = cluster.connect_options().database("limited");
    let owner = sqlx::PgPool::connect_lazy_with(options);
    // As it is from PostgreSQL 15 on.
    sqlx::query("REVOKE CREATE ON SCHEMA public FROM PUBLIC").execute(&owner).await.unwrap();
    let grants =
        ["GRANT CREATE ON DATABASE limited TO limited", "GRANT USAGE, CREATE ON SCHEMA public TO limited"];

    for said in refusals(&app, &url).await {
        assert!(grants.iter().all(|grant| said.contains(grant)), "{said}");
        assert!(said.matches("GRANT").count() == 2 && !said.contains("permission denied"), "{said}");
    }
    for grant in grants {
        sqlx::query(grant).execute(&owner).await.unwrap();
    }
    let (migrated, said) = app.command_with(&[("DATABASE_URL", &url)], &["migrate"]).await;
    assert!(migrated, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_does_not_own_the_tables_is_told_whose_they_are() {
    let (app, cluster) = (TestApp::start().await, ScratchCluster::create(&SCHEMA).await);
    let url = another(&cluster, &["CREATE ROLE stranger LOGIN"], "stranger", "cloudybot_scratch").await;

    for said in refusals(&app, &url).await {
        assert!(said.contains("GRANT cloudybot_scratch TO stranger"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_before_the_first_release_is_refused_with_the_remedy() {
    let mut app = TestApp::start().await;
    app.terminate().await;
    sqlx::raw_sql("UPDATE _sqlx_migrations SET checksum = sha384('another') WHERE version = 1")
        .execute(&app.pg)
        .await
        .unwrap();

    let said = app.refused(&[]).await;

    assert!(said.contains("make an empty one, and name it in DATABASE_URL"), "{said}");
    assert!(said.contains("a development build before the first release"), "{said}");
}
