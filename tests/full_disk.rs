//! A disk that is really full: a small one, on which the database has its tables.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::PathBuf;
use std::process::Command;

use private_postgres::scratch_cluster::ScratchCluster;
use sqlx::{AssertSqlSafe, PgPool};

use crate::support::{PERSON, SHIPPED_TIMEOUT, TestApp};

/// Mounted for as long as this value lives.
struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    fn mount(megabytes: u32) -> Self {
        let folder = std::env::temp_dir().join(format!("cloudybot-disk-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let size = format!("size={megabytes}m,mode=0755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).status();
        assert!(mounted.unwrap().success(), "only root may mount a disk");
        Self { folder }
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }

    /// Leaves no byte.
    fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Makes a database on the disk; its address.
async fn database_on(disk: &SmallDisk, cluster: &ScratchCluster) -> String {
    let pg: PgPool = cluster.pool().await;
    let data: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&pg).await.unwrap();
    let owner = fs::metadata(data).unwrap();
    let tables = disk.folder.join("tables");
    fs::create_dir(&tables).unwrap();
    chown(&tables, Some(owner.uid()), Some(owner.gid())).unwrap();
    let tablespace = format!("CREATE TABLESPACE small LOCATION '{}'", tables.display());
    sqlx::query(AssertSqlSafe(tablespace)).execute(&pg).await.unwrap();
    sqlx::query("CREATE DATABASE small TABLESPACE small").execute(&pg).await.unwrap();
    cluster.url().replacen("/cloudybot_scratch?", "/small?", 1)
}

async fn readiness(app: &TestApp) -> u16 {
    app.http.get(app.url("/readyz")).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "mounts a small disk, which root may; run it with `cargo test --test integration -- --ignored disk_is_full`"]
async fn while_the_disk_is_full_webhooks_are_refused_and_afterwards_nothing_is_lost_and_nothing_happens_twice()
 {
    let disk = SmallDisk::mount(64);
    let cluster = ScratchCluster::empty().await;
    let url = database_on(&disk, &cluster).await;
    let app =
        TestApp::on_database(url, None, &[("CLOUDYBOT__LIMITS__PER_SENDER_PER_MIN", "0"), SHIPPED_TIMEOUT])
            .await;
    app.write(PERSON, "before").await;
    app.replies(PERSON, 1).await;
    app.write(PERSON, "/slow 1500 before").await;
    app.until("the agent works", async || {
        app.count("SELECT count(*) FROM channel_turns WHERE state = 'running'").await == Some(1)
    })
    .await;

    disk.fill();
    // Pages that are there already take some messages in yet.
    let long = "x".repeat(4000);
    let mut taken_in = Vec::new();
    for number in 0..500 {
        let sid = format!("SMfull{number}");
        match app.inject(&[("From", PERSON), ("MessageSid", &sid), ("Body", &long)]).await {
            Some(200) => taken_in.push(sid),
            Some(503) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(taken_in.len() < 500, "the disk is not full");
    app.until("the balancer is told", async || readiness(&app).await == 503).await;

    disk.make_room();
    app.until("the balancer is told that it is over", async || readiness(&app).await == 200).await;
    assert_eq!(app.write(PERSON, "after").await, Some(200));
    app.drained_well().await;

    let lost: Vec<String> =
        sqlx::query_scalar("SELECT unnest($1::TEXT[]) EXCEPT SELECT sid FROM channel_messages")
            .bind(&taken_in)
            .fetch_all(&app.pg)
            .await
            .unwrap();
    assert_eq!(lost, Vec::<String>::new());
    assert_eq!(
        app.count("SELECT count(*) FROM channel_messages WHERE outcome IS DISTINCT FROM 'answered'").await,
        Some(0)
    );
    assert_eq!(app.count("SELECT count(*) FROM channel_agent_calls WHERE call > 1").await, Some(0));
    let sent = i64::try_from(app.sandbox.sent_to(PERSON).len()).unwrap();
    assert_eq!(app.count("SELECT count(*) FROM channel_chunks WHERE sid IS NOT NULL").await, Some(sent));
    assert_eq!(app.count("SELECT count(*) FROM channel_chunks WHERE sid IS NULL").await, Some(0));
}
