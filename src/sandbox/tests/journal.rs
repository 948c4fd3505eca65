//! What a sandbox finds again after it was stopped.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use sandbox::settings::{SandboxOptions, SandboxSettings};

use crate::account::{Account, settings};

#[tokio::test]
async fn messages_are_found_again_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/sandbox.jsonl");
    let account = keeping(&file, Duration::from_millis(5)).await;
    account.inject(&[("Body", "hi"), ("deliver", "false")]).await;
    account.create(&[("Body", "hello")]).await;
    account.wait_for_status("delivered").await;
    let before = account.sandbox.messages();
    account.sandbox.stop().await;

    let account = keeping(&file, Duration::from_millis(5)).await;

    assert_eq!(before.len(), 2);
    assert_eq!(account.sandbox.messages(), before);
}

#[tokio::test]
async fn a_message_under_way_goes_on_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sandbox.jsonl");
    let account = keeping(&file, Duration::from_secs(3600)).await;
    account.create(&[("Body", "hello")]).await;
    account.sandbox.stop().await;

    let account = keeping(&file, Duration::from_millis(5)).await;

    account.wait_for_status("delivered").await;
}

#[tokio::test]
async fn half_a_line_costs_no_other_message() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sandbox.jsonl");
    let account = keeping(&file, Duration::from_secs(3600)).await;
    account.create(&[("Body", "first")]).await;
    account.sandbox.stop().await;
    let mut journal = std::fs::OpenOptions::new().append(true).open(&file).unwrap();
    journal.write_all(b"\n{\"sid\":\"SM0").unwrap();

    let account = keeping(&file, Duration::from_secs(3600)).await;
    account.create(&[("Body", "second")]).await;
    account.sandbox.stop().await;
    let account = keeping(&file, Duration::from_secs(3600)).await;

    let messages = account.sandbox.messages();
    assert_eq!(messages.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["first", "second"]);
}

#[tokio::test]
async fn what_was_forgotten_stays_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sandbox.jsonl");
    let account = keeping(&file, Duration::from_secs(3600)).await;
    account.create(&[("Body", "hello")]).await;

    let forgotten = account.request(Method::DELETE, "/sandbox/messages").send().await.unwrap();
    account.sandbox.stop().await;

    assert_eq!(forgotten.status(), 204);
    assert_eq!(keeping(&file, Duration::from_secs(3600)).await.sandbox.messages(), []);
}

async fn keeping(file: &Path, status_delay: Duration) -> Account {
    let options = SandboxOptions { status_delay, ..settings().options };
    Account::with(SandboxSettings { options, journal: Some(file.to_owned()), ..settings() }).await
}
