//! Outages of agents and the alerts about them.

use store::agent_outages::{self, AgentTrouble};
use store::alerts::{self, AlertCause};
use store::apologies::{self, NoApology};
use store::ids::OutageId;
use store::turns;

use crate::Tables;

#[tokio::test]
async fn an_agent_has_one_outage_at_a_time_and_its_next_answer_ends_it() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();

    let first = agent_outages::open(&mut conn, "one", AgentTrouble::Token).await.unwrap();
    let same = agent_outages::open(&mut conn, "one", AgentTrouble::Busy).await.unwrap();
    let other = agent_outages::open(&mut conn, "other", AgentTrouble::Busy).await.unwrap();
    let ended = agent_outages::end(&mut conn, "one", &[]).await.unwrap();
    let nothing = agent_outages::end(&mut conn, "one", &[]).await.unwrap();
    let second = agent_outages::open(&mut conn, "one", AgentTrouble::Failing).await.unwrap();

    assert_eq!((first, same), (OutageId(1), OutageId(1)));
    assert!(other != first && second != first);
    assert_eq!((ended.outage, nothing.outage), (true, false));
    let lasting: i64 =
        sqlx::query_scalar("SELECT count(*) FROM channel_agent_outages WHERE closed_at IS NULL")
            .fetch_one(&tables.pg)
            .await
            .unwrap();
    assert_eq!(lasting, 2);
}

#[tokio::test]
async fn an_outage_in_which_nothing_fails_for_a_day_has_ended() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let first = agent_outages::open(&mut conn, "one", AgentTrouble::Token).await.unwrap();

    let age = async |hours: i32| {
        sqlx::query(
            "UPDATE channel_agent_outages SET failed_at = clock_timestamp() - make_interval(hours => $1)",
        )
        .bind(hours)
        .execute(&tables.pg)
        .await
        .unwrap();
    };
    age(23).await;
    let same = agent_outages::open(&mut conn, "one", AgentTrouble::Token).await.unwrap();
    age(25).await;
    let second = agent_outages::open(&mut conn, "one", AgentTrouble::Token).await.unwrap();

    assert_eq!(first, same);
    assert_ne!(first, second);
}

#[tokio::test]
async fn an_alert_that_is_over_comes_back_within_the_hour_and_has_to_be_looked_at_again() {
    let tables = Tables::new().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let raise = async |conn: &mut sqlx::PgConnection, cause, detail| {
        alerts::raise(conn, cause, detail, 3600.0, false).await.unwrap()
    };
    let id = raise(&mut conn, AlertCause::AgentToken, "first").await.id;
    raise(&mut conn, AlertCause::Clock, "another").await;
    alerts::tell(&mut conn, id, 3600.0).await.unwrap();
    alerts::acknowledge(&mut conn, id).await.unwrap();

    let ended = agent_outages::end(&mut conn, "one", &[AlertCause::AgentToken]).await.unwrap();
    let closed = alerts::close(&mut conn, &[AlertCause::AgentToken], 600.0).await.unwrap();
    let open: Vec<AlertCause> =
        alerts::open(&mut conn).await.unwrap().iter().map(|alert| alert.cause).collect();
    let again = raise(&mut conn, AlertCause::AgentToken, "second").await;
    let alert = alerts::get(&mut conn, id).await.unwrap().unwrap();

    assert!(ended.alerts && !ended.outage);
    assert!(closed.iter().all(|closed| closed.id == id && closed.is_news), "{closed:?}");
    assert_eq!(open, [AlertCause::Clock], "what is not of an agent stays");
    assert_eq!((again.id, again.is_news), (id, false), "it was told a moment ago");
    assert_eq!((alert.times, alert.detail.as_str()), (2, "second"));
    assert_eq!((alert.acknowledged_at, alert.closed_at), (None, None));
}

#[tokio::test]
async fn a_person_was_apologised_to_if_a_turn_of_the_outage_did_not_go_without() {
    let tables = Tables::new().await;
    let (_, conversation) = tables.person().await;
    let mut conn = tables.pg.acquire().await.unwrap();
    let outage = agent_outages::open(&mut conn, "one", AgentTrouble::Token).await.unwrap();
    let message = tables.message("SM1").await;

    let mut told = Vec::new();
    for no_apology in [Some(NoApology::Retried), None] {
        let turn = turns::begin(&mut conn, conversation, "echo", &[message]).await.unwrap();
        apologies::note_failure(&mut conn, turn.id, Some(outage), no_apology).await.unwrap();
        turns::fail(&mut conn, turn.id, "no").await.unwrap();
        told.push(apologies::was_apologised_for(&mut conn, conversation, outage).await.unwrap());
    }

    assert_eq!(told, [false, true]);
}
