//! Schedules in each user's own zone: every user gets each moment of the clocks once, whatever happens meanwhile.

use std::collections::BTreeSet;

use channel::schedules::firing;
use channel::schedules::schedule_file::Schedule;
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, TimeDelta, Utc, Weekday};
use queue::Queue;
use queue::settings::QueueSettings;
use reqwest::Method;
use serde_json::json;

use crate::support::TestApp;

/// Clocks of every kind: of half and of three quarters of an hour, with and without changes, on both sides of the date line, and of rules that changed in
/// 2026.
const ZONES: [&str; 12] = [
    "America/Vancouver",
    "America/Havana",
    "America/New_York",
    "America/Sao_Paulo",
    "Africa/Casablanca",
    "Europe/Berlin",
    "Europe/Chisinau",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
    "Pacific/Apia",
    "Pacific/Honolulu",
];

/// Silent on Christmas and, by a calendar's rule, on the last Thursday of November.
const BEFORE: &str = r#"
cron = "30 21 * * MON,THU"
timezone = "user"
default_timezone = "Europe/Berlin"
except = ["12-27", "2020-11-26/P1D RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=-1TH"]
quiet_hours = { from = "01:00", to = "06:00" }
misfire = "all"
overlap = "wait"
[audience]
everyone = true
except_users = ["silent"]
[content]
message = "It is time."
"#;

/// The looks of schedulers, with the time passed in.
struct Schedulers {
    pg: sqlx::PgPool,
    queue: Queue,
}

impl Schedulers {
    async fn load(&self, schedule: &Schedule, until: DateTime<Utc>) {
        let mut tx = self.queue.begin(&self.pg).await.unwrap();
        firing::load(&mut tx, schedule).await.unwrap();
        sqlx::query("UPDATE channel_schedules SET fired_until = $1")
            .bind(until)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// One look; a process that dies before its commit leaves nothing. False: another one has the schedule just now.
    async fn look(&self, schedule: &Schedule, now: DateTime<Utc>, dies: bool) -> bool {
        let mut tx = self.queue.begin(&self.pg).await.unwrap();
        let Some(mut row) = store::schedules::try_lock(&mut tx, &schedule.name).await.unwrap() else {
            return false;
        };
        row.now = now;
        firing::fire(&mut tx, schedule, &row).await.unwrap();
        if !dies {
            tx.commit().await.unwrap();
        }
        true
    }
}

/// A user's part of a slot: whose, when, what it came to, and until when its delivery waits.
type Part = (String, DateTime<Utc>, String, Option<DateTime<Utc>>);

/// When clocks of a zone show this time, by another library than the product's walk.
fn shown_at(zone: &str, local: NaiveDateTime) -> DateTime<Utc> {
    let local: jiff::civil::DateTime = local.format("%Y-%m-%dT%H:%M:%S").to_string().parse().unwrap();
    let zone = jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap();
    let at = local.to_zoned(zone).unwrap().timestamp();
    DateTime::from_timestamp(at.as_second(), 0).unwrap()
}

/// The times of day at which the schedule falls due on a day of the year, before and after its edit.
fn is_due(day: NaiveDate) -> bool {
    let last_thursday = NaiveDate::from_weekday_of_month_opt(day.year(), 11, Weekday::Thu, 5)
        .or(NaiveDate::from_weekday_of_month_opt(day.year(), 11, Weekday::Thu, 4))
        .unwrap();
    matches!(day.weekday(), Weekday::Mon | Weekday::Thu)
        && (day.month(), day.day()) != (12, 27)
        && day != last_thursday
}

async fn live_in(app: &TestApp, user: &str, details: serde_json::Value) {
    let (status, answer) = app.product(Method::PUT, &format!("/users/{user}"), details).await;
    assert!(status < 300, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_year_in_twelve_zones_gives_each_user_each_moment_once() {
    let mut app = TestApp::start().await;
    let mut users = Vec::new();
    for (number, zone) in ZONES.into_iter().map(Some).chain([None, Some("Europe/Berlin")]).enumerate() {
        let user = if number == 13 { "silent".to_owned() } else { format!("user-{number:02}") };
        live_in(&app, &user, json!({ "plan": "pro" })).await;
        app.claim(&user, &format!("whatsapp:+1500556{number:04}")).await;
        // Every other user sleeps from ten to eight.
        let sleeps = number % 2 == 1;
        let hours = sleeps.then(|| json!({ "from": "22:00", "to": "08:00" }));
        live_in(&app, &user, json!({ "plan": "pro", "timezone": zone, "quietHours": hours })).await;
        users.push((user, zone.unwrap_or("Europe/Berlin"), sleeps));
    }
    app.drained_well().await;
    // Nobody has written for days: nothing is sent, and what becomes of each message stays to be seen.
    sqlx::raw_sql("UPDATE channel_addresses SET last_inbound_at = now() - interval '3 days'")
        .execute(&app.pg)
        .await
        .unwrap();
    let queue = Queue::open(app.pg.clone(), QueueSettings::default());
    let begin: DateTime<Utc> = "2027-01-01T00:00:00Z".parse().unwrap();
    let end = begin + TimeDelta::days(365);
    let (edit, move_) = (begin + TimeDelta::days(180), begin + TimeDelta::days(250) + TimeDelta::hours(9));
    let before = Schedule::parse("news", BEFORE, "".as_ref()).unwrap();
    let after = Schedule::parse("news", &BEFORE.replace("30 21", "30 4"), "".as_ref()).unwrap();
    let schedulers = Schedulers { pg: app.pg.clone(), queue };
    schedulers.load(&before, begin).await;

    // Two schedulers look at odd moments; now and then one dies in the middle.
    let (mut now, mut present, mut looks, mut moved) = (begin, &before, 0, false);
    while now < end {
        let step = now + TimeDelta::minutes(13 * 60 + 7);
        now = [edit, move_, end]
            .into_iter()
            .filter(|stop| *stop > now)
            .min()
            .map_or(step, |stop| stop.min(step));
        let look = |dies| schedulers.look(present, now, dies);
        tokio::join!(look(looks % 7 == 3), look(looks % 11 == 5));
        // What a look has missed is seen by the next one.
        while !schedulers.look(present, now, false).await {
            tokio::task::yield_now().await;
        }
        if now == edit {
            present = &after;
            schedulers.load(present, now).await;
        }
        if now == move_ && !moved {
            // From New York to Auckland: Monday evening there is Monday morning in New York.
            until_idle(&app).await;
            live_in(&app, "user-02", json!({ "plan": "pro", "timezone": "Pacific/Auckland" })).await;
            moved = true;
        }
        looks += 1;
        if looks == 120 || looks == 400 {
            // Whoever works the slots off is killed, and another one goes on.
            app.kill();
            app.launch().await;
        }
    }
    until_idle(&app).await;

    let found: Vec<Part> = sqlx::query_as(
        "SELECT u.user_id, s.moment, u.outcome || coalesce(' ' || u.reason, ''), d.waits_until
         FROM channel_slot_users u JOIN channel_slots s ON s.id = u.slot_id LEFT JOIN channel_deliveries d ON d.id = u.delivery_id ORDER BY u.user_id, s.moment",
    )
    .fetch_all(&app.pg)
    .await
    .unwrap();
    assert!(found.iter().all(|(user, ..)| user != "silent"));
    for (user, zone, sleeps) in users.iter().filter(|(user, ..)| user != "silent") {
        let mut expected = BTreeSet::new();
        for day in begin.date_naive().pred_opt().unwrap().iter_days().take(367).filter(|day| is_due(*day)) {
            let in_zone = |zone: &str| {
                let late = shown_at(zone, day.and_hms_opt(21, 30, 0).unwrap());
                let early = shown_at(zone, day.and_hms_opt(4, 30, 0).unwrap());
                let both = [(late, begin, edit, false), (early, edit, end, true)];
                both.into_iter()
                    .filter(|(at, from, to, _)| at > from && at <= to)
                    .map(|(at, .., quiet)| (at, quiet))
                    .collect::<Vec<_>>()
            };
            let moments = if user == "user-02" {
                let old = in_zone(zone).into_iter().filter(|(at, _)| *at <= move_);
                let new: Vec<_> =
                    in_zone("Pacific/Auckland").into_iter().filter(|(at, _)| *at > move_).collect();
                let old: Vec<_> = old.collect();
                // What stood for this time of the clocks before the move does so after it.
                if old.is_empty() { new } else { old }
            } else {
                in_zone(zone)
            };
            for (at, is_quiet) in moments {
                let lives = if user == "user-02" && at > move_ { "Pacific/Auckland" } else { zone };
                let wakes = if *sleeps { day.and_hms_opt(8, 0, 0) } else { day.and_hms_opt(6, 0, 0) };
                let waits = is_quiet.then(|| shown_at(lives, wakes.unwrap()));
                expected.insert((at, waits));
            }
        }
        let got: BTreeSet<_> = found
            .iter()
            .filter(|(of, ..)| of == user)
            .map(|(_, at, outcome, waits)| {
                assert_eq!(
                    outcome,
                    if waits.is_some() { "planned" } else { "blocked window" },
                    "{user} at {at}"
                );
                (*at, *waits)
            })
            .collect();
        let missing: Vec<_> = expected.difference(&got).take(3).collect();
        let surplus: Vec<_> = got.difference(&expected).take(3).collect();
        assert_eq!((missing, surplus), (vec![], vec![]), "{user} in {zone}");
        assert_eq!(found.iter().filter(|(of, ..)| of == user).count(), expected.len(), "{user}");
    }
    app.kill();
}

async fn until_idle(app: &TestApp) {
    app.until_within(std::time::Duration::from_secs(50), "all duties are done", async || {
        app.count("SELECT count(*) FROM channel_slots WHERE state = 'open'").await == Some(0)
    })
    .await;
}
