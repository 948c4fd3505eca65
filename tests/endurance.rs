//! Everything at once and for long: people who write and say STOP, notifications at the edge of the cap, a Twilio that misbehaves in every way it
//! can, processes killed every few seconds, and in the middle a standby that takes over from a database that was killed. What counts in the
//! end is Twilio's own list.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use private_postgres::scratch_cluster::ScratchCluster;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sandbox::faults::Faults;
use serde_json::json;

use crate::support::forwarder::Forwarder;
use crate::support::{API_TOKEN, SHIPPED_TIMEOUT, TestApp};

/// Metered messages of a user.
const CAP: i64 = 6;

/// What a notification's words begin with.
const NEWS: &str = "News for";

fn faults() -> Faults {
    Faults {
        drop_before: 0.03,
        drop_after: 0.07,
        rate_limited: 0.1,
        error_before: 0.05,
        error_after: 0.05,
        accept_late: 0.05,
        accept_late_ms: 2000,
        fail_later: 0.05,
        fail_later_code: 63024,
        callback_lost: 0.1,
        callback_doubled: 0.1,
        callback_reordered: 0.1,
        list_lag_ms: 500,
        ..Faults::default()
    }
}

/// What a person had been sent of our own accord when STOP was confirmed to Twilio, and how much may still have been on its way.
struct Stopped {
    person: String,
    most: usize,
}

struct Endurance {
    app: TestApp,
    people: Vec<String>,
    written: HashMap<String, Vec<String>>,
    stopped: Vec<Stopped>,
    asked: usize,
    rng: StdRng,
}

impl Endurance {
    async fn start(url: String, people: usize, rng: StdRng) -> Self {
        let mut app = TestApp::on_database(
            url,
            None,
            &[
                ("CLOUDYBOT__PLANS__PRO__WHATSAPP_SENDS", &CAP.to_string()),
                ("CLOUDYBOT__LIMITS__PER_SENDER_PER_MIN", "0"),
                SHIPPED_TIMEOUT,
                ("CLOUDYBOT__TWILIO__RECIPIENT_EVERY", "100ms"),
                ("CLOUDYBOT__TWILIO__IN_DOUBT_GRACE", "2500ms"),
                ("CLOUDYBOT__TWILIO__STATUS_LOOK_UPS", "[\"5s\", \"20s\"]"),
                ("CLOUDYBOT__DELIVERIES__CALLBACK_WAIT", "300ms"),
                ("CLOUDYBOT__BACKFILL__EVERY", "2s"),
                ("CLOUDYBOT__BACKFILL__SETTLE", "6s"),
            ],
        )
        .await;
        app.launch_another().await;
        let people: Vec<String> = (0..people).map(|number| format!("whatsapp:+1500557{number:04}")).collect();
        for person in &people {
            app.link(person).await;
        }
        app.sandbox.set_faults(faults());
        Self { app, people, written: HashMap::new(), stopped: Vec::new(), asked: 0, rng }
    }

    /// Somebody writes, is notified or says STOP.
    async fn step(&mut self) {
        let person = self.people[self.rng.random_range(0..self.people.len())].clone();
        match self.rng.random_range(0..100) {
            0..3 => self.say_stop(person).await,
            3..20 => self.notify(&person).await,
            _ => {
                let said = self.written.entry(person.clone()).or_default();
                let body = format!("<{}>", said.len());
                said.push(body.clone());
                // A webhook that gets no answer in time is fetched from Twilio's list.
                let _ = self.app.sandbox.write(&person, &body).await;
            }
        }
    }

    async fn say_stop(&mut self, person: String) {
        if self.app.sandbox.write(&person, "STOP").await != Ok(200) {
            return;
        }
        // What is being sent at this moment may have left before.
        let on_their_way: Option<i64> = sqlx::query_scalar(
            "SELECT count(*) FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id
             JOIN channel_address_aliases a ON a.address_id = d.address_id
             WHERE a.alias = $1 AND d.purpose = 'notification' AND c.state IN ('sending', 'unknown')",
        )
        .bind(&person)
        .fetch_one(&self.app.pg)
        .await
        .ok();
        let Some(on_their_way) = on_their_way else { return };
        let most = self.news(&person) + usize::try_from(on_their_way).unwrap();
        self.stopped.push(Stopped { person, most });
    }

    async fn notify(&mut self, person: &str) {
        self.asked += 1;
        let user = person.replace('+', "%2B");
        let text = format!("{NEWS} {person}: {}", self.asked);
        let request = self.app.http.post(self.app.url(&format!("/v1/users/{user}/notifications")));
        let request = request.bearer_auth(API_TOKEN).header("Idempotency-Key", &text);
        // Without an answer it may be planned or not; either is right.
        let _ = request.json(&json!({ "text": text })).send().await;
    }

    /// How many notifications a person was sent.
    fn news(&self, person: &str) -> usize {
        self.app.said_to(person).iter().filter(|said| said.starts_with(NEWS)).count()
    }

    /// Kills a process every few seconds while people go on, for so long.
    async fn go_on(&mut self, time: Duration, kill_every: Duration) {
        let begun = Instant::now();
        let mut next_kill = kill_every;
        while begun.elapsed() < time {
            self.step().await;
            if begun.elapsed() > next_kill {
                let number = self.rng.random_range(0..2);
                self.app.kill_one(number).await;
                next_kill = begun.elapsed() + kill_every;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn check(self) {
        let Self { app, people, written, stopped, .. } = &self;
        app.sandbox.set_faults(Faults::default());
        app.until_within(Duration::from_secs(400), "every message has its outcome", async || {
            let taken_in = app.count("SELECT count(*) FROM channel_messages WHERE outcome IS NOT NULL").await;
            let written = app.sandbox.messages().iter().filter(|message| message.is_inbound()).count();
            taken_in == i64::try_from(written).ok()
        })
        .await;
        app.until_within(Duration::from_secs(400), "nothing is left to send", async || {
            let open = "SELECT count(*) FROM channel_chunks WHERE state IN ('planned', 'sending')";
            app.count(open).await == Some(0)
        })
        .await;

        for person in people {
            let said = app.said_to(person).join("\n");
            for body in written.get(person).into_iter().flatten() {
                assert_eq!(said.matches(body).count(), 1, "{body} of {person} in {said}");
            }
        }
        let listed: HashSet<String> = app
            .sandbox
            .messages()
            .into_iter()
            .filter(|message| !message.is_inbound())
            .map(|message| message.sid)
            .collect();
        let known: Vec<String> = sqlx::query_scalar("SELECT sid FROM channel_chunks WHERE sid IS NOT NULL")
            .fetch_all(&app.pg)
            .await
            .unwrap();
        assert_eq!(known.len(), listed.len());
        assert_eq!(known.into_iter().collect::<HashSet<_>>(), listed, "Twilio's list is what we know of");
        for (what, sql) in [
            ("sent twice", "SELECT count(*) FROM channel_double_sends"),
            ("unknown", "SELECT count(*) FROM channel_chunks WHERE state = 'unknown'"),
            ("dead", "SELECT count(*) FROM queue.dead"),
            (
                "over the cap",
                "SELECT count(*) FROM whatsapp_sends WHERE used > 6 + credited OR reserved <> 0",
            ),
            ("failed", "SELECT count(*) FROM channel_messages WHERE outcome = 'failed'"),
        ] {
            assert_eq!(app.count(sql).await, Some(0), "{what}");
        }
        let drift =
            store::allowances::audit(&mut app.pg.acquire().await.unwrap(), i64::MAX).await.unwrap().drift;
        assert!(drift.is_empty(), "{drift:?}");
        for Stopped { person, most } in stopped {
            assert!(self.news(person) <= *most, "{person} was sent more than {most} after STOP");
        }
        eprintln!(
            "{} messages, {} notifications asked for, {} STOPs, {} sent",
            written.values().map(Vec::len).sum::<usize>(),
            self.asked,
            stopped.len(),
            listed.len()
        );
    }
}

async fn endure(people: usize, time: Duration, kill_every: Duration) {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let first = ScratchCluster::empty().await;
    let second = first.standby(&[]).await;
    let address = Forwarder::to(&first.connect_options(), Duration::ZERO).await;
    let url = address.url(&first.connect_options());
    let mut endurance = Endurance::start(url, people, StdRng::seed_from_u64(seed)).await;

    endurance.go_on(time / 2, kill_every).await;
    first.kill().await;
    address.cut();
    address.turn_to(&second.connect_options());
    // People go on while nothing can be written.
    for _ in 0..people {
        endurance.step().await;
    }
    second.promote().await;
    endurance.go_on(time / 2, kill_every).await;

    endurance.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_kills_and_a_failover_each_message_is_answered_once_and_twilios_list_is_ours() {
    endure(8, Duration::from_secs(12), Duration::from_secs(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes six minutes; run it with `cargo test --test integration -- --ignored through_five_minutes`"]
async fn through_five_minutes_of_kills_and_a_failover_each_message_is_answered_once_and_twilios_list_is_ours()
{
    endure(30, Duration::from_secs(300), Duration::from_secs(3)).await;
}
