//! The database goes away and comes back.

use std::time::{Duration, Instant};

use private_postgres::scratch_cluster::ScratchCluster;

use crate::support::{PERSON, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_a_webhook_is_refused_in_time_and_the_service_goes_on_by_itself_afterwards() {
    let cluster = ScratchCluster::empty().await;
    let app = TestApp::on_database(cluster.url().to_owned(), None, &[]).await;
    app.write(PERSON, "before").await;
    app.replies(PERSON, 1).await;
    app.drained_well().await;

    cluster.stop().await;
    let form = [("MessageSid", "SMaway"), ("From", PERSON), ("Body", "while away")];
    let begun = Instant::now();
    let answer = app.post("/webhooks/whatsapp", &form, Some(&app.sign("/webhooks/whatsapp", &form))).await;
    let took = begun.elapsed();
    let ready = app.http.get(app.url("/readyz")).send().await.unwrap();
    cluster.start_again().await;

    assert_eq!(answer.status(), 503);
    assert!(took < Duration::from_millis(2500), "{took:?}");
    assert_eq!(ready.status(), 503);
    app.until("it is ready again", async || {
        app.http.get(app.url("/readyz")).send().await.unwrap().status() == 200
    })
    .await;
    assert_eq!(app.write(PERSON, "after").await, Some(200));
    let replies = app.replies(PERSON, 2).await;
    app.drained_well().await;
    assert_eq!(replies[1].body, "You said: after");
    assert_eq!(app.count("SELECT count(*) FROM channel_messages WHERE sid = 'SMaway'").await, Some(0));
}
