//! Firing through the database, with the time passed in.

use channel::schedules::firing;
use channel::schedules::schedule_file::Schedule;
use channel::schedules::zones::tz::Tz;
use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc};
use private_postgres::test_database::TestDatabase;
use queue::Queue;
use sqlx::PgPool;

use crate::support::SCHEMA;

struct Tables {
    pg: PgPool,
    queue: Queue,
    _database: TestDatabase,
}

impl Tables {
    async fn new() -> Self {
        let database = TestDatabase::create(&SCHEMA).await;
        let pg = PgPool::connect(database.url()).await.unwrap();
        let queue = Queue::open(pg.clone(), queue::settings::QueueSettings::default());
        Self { pg, queue, _database: database }
    }

    /// Takes in a file whose time has begun at this moment.
    async fn load(&self, schedule: &Schedule, since: DateTime<Utc>) {
        let mut tx = self.queue.begin(&self.pg).await.unwrap();
        assert!(firing::load(&mut tx, schedule).await.unwrap());
        sqlx::query("UPDATE channel_schedules SET fired_until = $2 WHERE name = $1")
            .bind(&schedule.name)
            .bind(since)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// A look at the schedule, at this moment.
    async fn look(&self, schedule: &Schedule, now: DateTime<Utc>) {
        let mut tx = self.queue.begin(&self.pg).await.unwrap();
        let mut row = store::schedules::try_lock(&mut tx, &schedule.name).await.unwrap().unwrap();
        row.now = now;
        firing::fire(&mut tx, schedule, &row).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The moments of a schedule's slots, with their state and reason.
    async fn slots(&self, name: &str) -> Vec<(DateTime<Utc>, String)> {
        sqlx::query_as("SELECT moment, concat_ws(' ', state, reason) FROM channel_slots WHERE schedule = $1 ORDER BY moment")
            .bind(name)
            .fetch_all(&self.pg)
            .await
            .unwrap()
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn schedule(name: &str, cron: &str, zone: &str, message: &str) -> Schedule {
    let text = format!(
        "cron = \"{cron}\"\ntimezone = \"{zone}\"\nmisfire = \"all\"\noverlap = \"wait\"\n[audience]\neveryone = true\n[content]\nmessage = \"{message}\"\n"
    );
    Schedule::parse(name, &text, "".as_ref()).unwrap()
}

/// Real quarters of an hour one after the other, and what clocks show at each: fixed hours count once for each time shown, and a time that is
/// skipped counts at the first quarter after it.
fn walked(
    zone: Tz,
    begin: DateTime<Utc>,
    end: DateTime<Utc>,
    fits: impl Fn(chrono::NaiveDateTime) -> bool,
) -> Vec<DateTime<Utc>> {
    let quarter = TimeDelta::minutes(15);
    let (mut moment, mut due) = (begin + quarter, Vec::new());
    let mut seen = std::collections::HashSet::new();
    while moment <= end {
        let shown = moment.with_timezone(&zone).naive_local();
        let before = (moment - quarter).with_timezone(&zone).naive_local();
        let skipped = std::iter::successors(Some(before + quarter), |time| Some(*time + quarter))
            .take_while(|time| *time < shown)
            .any(&fits);
        if fits(shown) && seen.insert(shown) || skipped {
            due.push(moment);
        }
        moment += quarter;
    }
    due
}

#[tokio::test(flavor = "multi_thread")]
async fn a_year_fires_each_local_time_once_in_five_zones() {
    let tables = Tables::new().await;
    let (begin, end) = (at("2026-01-01T12:00:00Z"), at("2027-01-01T12:00:00Z"));
    for zone in ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"] {
        let name = zone.replace('/', "-");
        let (twice, either) = (format!("{name}-twice"), format!("{name}-either"));
        let twice = schedule(&twice, "15,45 1,2 * * *", zone, "hi");
        let either = schedule(&either, "0 9 13 * 5", zone, "hi");
        for schedule in [&twice, &either] {
            tables.load(schedule, begin).await;
        }
        // Looks at odd moments, as late as a day.
        let mut now = begin;
        while now < end {
            now = end.min(now + TimeDelta::minutes(23 * 60 + 7));
            tables.look(&twice, now).await;
            if now.day() % 3 == 0 || now == end {
                tables.look(&either, now).await;
            }
        }

        let tz = twice.zone.main();
        let of_twice = walked(tz, begin, end, |local| {
            matches!(local.hour(), 1 | 2) && matches!(local.minute(), 15 | 45)
        });
        let of_either = walked(tz, begin, end, |local| {
            (local.day() == 13 || local.weekday() == chrono::Weekday::Fri)
                && (local.hour(), local.minute()) == (9, 0)
        });
        for (schedule, expected) in [(&twice, of_twice), (&either, of_either)] {
            let fired = tables.slots(schedule.name.as_str()).await;
            assert!(fired.iter().all(|(_, state)| state == "open"), "{}", schedule.name);
            let moments: Vec<_> = fired.into_iter().map(|(moment, _)| moment).collect();
            assert_eq!(moments, expected, "{}", schedule.name);
        }
    }
    let jobs: i64 = sqlx::query_scalar(
        "SELECT count(DISTINCT payload) - (SELECT count(*) FROM channel_slots) FROM queue.jobs",
    )
    .fetch_one(&tables.pg)
    .await
    .unwrap();
    assert_eq!(jobs, 0, "a job for each slot");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_quarter_of_an_hour_fires_on_days_when_clocks_change() {
    let tables = Tables::new().await;
    for (name, begin) in [("spring", "2026-03-28T12:00:00Z"), ("autumn", "2026-10-24T12:00:00Z")] {
        let schedule = schedule(name, "*/15 * * * *", "Europe/Berlin", "hi");
        let begin = at(begin);
        tables.load(&schedule, begin).await;

        for hour in 1..=24 {
            tables.look(&schedule, begin + TimeDelta::hours(hour)).await;
        }

        let moments: Vec<_> = tables.slots(name).await.into_iter().map(|(moment, _)| moment).collect();
        let expected: Vec<_> = (1..=96).map(|n| begin + TimeDelta::minutes(15 * n)).collect();
        assert_eq!(moments, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_words_keeps_what_is_due() {
    let tables = Tables::new().await;
    let now = Utc::now();
    tables.load(&schedule("words", "* * * * *", "UTC", "old"), now - TimeDelta::minutes(5)).await;
    let edited = schedule("words", "* * * * *", "UTC", "new");

    let mut tx = tables.queue.begin(&tables.pg).await.unwrap();
    assert!(firing::load(&mut tx, &edited).await.unwrap());
    assert!(!firing::load(&mut tx, &edited).await.unwrap(), "it is loaded once");
    tx.commit().await.unwrap();
    tables.look(&edited, now).await;

    assert_eq!(tables.slots("words").await.len(), 5);
    let old: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM channel_slots WHERE definition->'content'->>'message' = 'old'",
    )
    .fetch_one(&tables.pg)
    .await
    .unwrap();
    assert_eq!(old, 0, "a slot does what the file says now");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_on_an_excepted_day_says_nothing_of_what_was_due() {
    let tables = Tables::new().await;
    let now = Utc::now();
    let (yesterday, today) = ((now - TimeDelta::days(1)).date_naive(), now.date_naive());
    let text = |seconds: &str| {
        format!(
            "cron = \"{seconds} * * * * *\"\nexcept = [\"{yesterday}\", \"{today}\"]\n[audience]\neveryone = true\n[content]\nmessage = \"hi\"\n"
        )
    };
    let parse = |seconds: &str| Schedule::parse("silent", &text(seconds), "".as_ref()).unwrap();
    tables.load(&parse("*/10"), now - TimeDelta::seconds(60)).await;

    let mut tx = tables.queue.begin(&tables.pg).await.unwrap();
    assert!(firing::load(&mut tx, &parse("*/15")).await.unwrap());
    tx.commit().await.unwrap();

    let slots = tables.slots("silent").await;
    assert!(slots.len() >= 6 && slots.iter().all(|(_, state)| state == "skipped excepted_day"), "{slots:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_time_parts_the_time() {
    let tables = Tables::new().await;
    let now = Utc::now();
    let former = schedule("time", "*/10 * * * * *", "UTC", "old");
    tables.load(&former, now - TimeDelta::seconds(90)).await;
    let edited = schedule("time", "*/10 * * * * *", "Asia/Kolkata", "new");

    let mut tx = tables.queue.begin(&tables.pg).await.unwrap();
    assert!(firing::load(&mut tx, &edited).await.unwrap());
    tx.commit().await.unwrap();
    let loaded = tables.slots("time").await;
    let row = store::schedules::all(&mut tables.pg.acquire().await.unwrap()).await.unwrap().remove(0);
    tables.look(&edited, row.fired_until + TimeDelta::seconds(60)).await;
    let all = tables.slots("time").await;

    assert_eq!(loaded.len(), 9, "nothing that fell due before the edit is without a record: {loaded:?}");
    let open = loaded.iter().filter(|(_, state)| state == "open").count();
    let edited_away = loaded.iter().filter(|(_, state)| state == "skipped edited").count();
    assert!((2..=4).contains(&open) && open + edited_away == 9, "what was due just now fires: {loaded:?}");
    assert_eq!(
        all.len(),
        15,
        "after it the new time goes on, without a gap and without a second slot: {all:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_back_keeps_its_time_if_it_was_only_moved() {
    let tables = Tables::new().await;
    let now = Utc::now();
    for (name, gone_for, due) in [("moved", "5 s", 2), ("gone", "1 hour", 0)] {
        let schedule = schedule(name, "* * * * *", "UTC", "hi");
        tables.load(&schedule, now - TimeDelta::minutes(2)).await;
        sqlx::query("UPDATE channel_schedules SET removed_at = now() - $2::INTERVAL WHERE name = $1")
            .bind(name)
            .bind(gone_for)
            .execute(&tables.pg)
            .await
            .unwrap();

        let mut tx = tables.queue.begin(&tables.pg).await.unwrap();
        assert!(firing::load(&mut tx, &schedule).await.unwrap());
        tx.commit().await.unwrap();
        tables.look(&schedule, now).await;

        assert_eq!(tables.slots(name).await.len(), due, "{name}");
    }
}
