//! A user's time zone, quiet hours and attributes: what the product tells, and what an administrator sees.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PERSON, TestApp};

/// These fields of a user.
fn details(user: &Value) -> Value {
    json!([user["plan"], user["timezone"], user["quietHours"], user["attributes"]])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_details_stay_until_they_are_replaced_or_cleared() {
    let app = TestApp::start().await;
    let night = json!({ "from": "22:00", "to": "07:00" });
    let named = json!({ "name": "A\"l ice\n😀", "first-name_2": "", "text": "{{user.id}}" });
    let put = async |body: Value| {
        let (status, user) = app.product(Method::PUT, "/users/alice", body).await;
        assert!(status == 200 || status == 201, "{user}");
        assert_eq!(details(&user), details(&app.user("alice").await));
        details(&user)
    };

    assert_eq!(put(json!({})).await, json!(["free", null, null, {}]));
    let all = json!({ "plan": "pro", "timezone": "Europe/Berlin", "quietHours": night, "attributes": named });
    assert_eq!(put(all).await, json!(["pro", "Europe/Berlin", night, named]));
    assert_eq!(put(json!({ "paused": true })).await, json!(["pro", "Europe/Berlin", night, named]));
    assert_eq!(
        put(json!({ "attributes": { "city": "Köln" } })).await,
        json!(["pro", "Europe/Berlin", night, { "city": "Köln" }])
    );
    assert_eq!(
        put(json!({ "timezone": null, "quietHours": { "from": "00:00", "to": "23:59" } })).await,
        json!(["pro", null, { "from": "00:00", "to": "23:59" }, { "city": "Köln" }])
    );
    assert_eq!(put(json!({ "quietHours": null, "attributes": null })).await, json!(["pro", null, null, {}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn details_that_make_no_sense_are_refused_by_name_and_change_nothing() {
    let app = TestApp::start().await;
    let good = json!({ "plan": "pro", "timezone": "Asia/Tokyo", "attributes": { "name": "Alice" } });
    app.product(Method::PUT, "/users/alice", good).await;
    let many: Value = (0..51).map(|number| (format!("a{number}"), json!("x"))).collect();

    for (body, names) in [
        (
            json!({ "timezone": "europe/berlin" }),
            "timezone: unknown time zone \"europe/berlin\"; is Europe/Berlin meant?",
        ),
        (json!({ "timezone": "Mars" }), "timezone: unknown time zone \"Mars\"; one like Europe/Berlin"),
        (json!({ "timezone": "" }), "timezone: it has 0 characters"),
        (json!({ "timezone": 1 }), "timezone: invalid type: integer"),
        (
            json!({ "quietHours": { "from": "22:00", "to": "22:00" } }),
            "quietHours: from and to are both 22:00",
        ),
        (json!({ "quietHours": { "from": "22:00" } }), "quietHours: missing field `to`"),
        (json!({ "quietHours": { "from": "24:00", "to": "07:00" } }), "quietHours: from is \"24:00\""),
        (json!({ "quietHours": { "from": "22:00", "to": "7" } }), "quietHours: to is \"7\""),
        (json!({ "quietHours": { "from": "22:00", "to": "07:00", "zone": "UTC" } }), "unknown field `zone`"),
        (json!({ "quietHours": [] }), "quietHours"),
        (json!({ "attributes": many }), "attributes: there are 51; a user may have 50"),
        (json!({ "attributes": { "na me": "x" } }), "attributes: \"na me\" can be no name"),
        (json!({ "attributes": { "n".repeat(65): "x" } }), "can be no name"),
        (json!({ "attributes": { "name": "é".repeat(513) } }), "attributes.name: the value has 1026 bytes"),
        (json!({ "attributes": { "name": "a\0b" } }), "attributes.name: the value holds a NUL"),
        (json!({ "attributes": { "name": 5 } }), "attributes.name: invalid type: integer `5`"),
        (json!({ "attributes": { "name": null } }), "attributes.name: invalid type: null"),
        (json!({ "attributes": ["name"] }), "attributes: invalid type: sequence"),
    ] {
        let mut body = body;
        body["plan"] = json!("max");
        let (status, problem) = app.product(Method::PUT, "/users/alice", body).await;

        assert_eq!(status, 422, "{names}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(names), "{names}: {problem}");
    }
    // One field that is wrong leaves the others as they were.
    let half = json!({ "plan": "max", "timezone": "Asia/Seoul", "attributes": { "": "x" } });
    assert_eq!(app.product(Method::PUT, "/users/alice", half).await.0, 422);
    assert_eq!(details(&app.user("alice").await), json!(["pro", "Asia/Tokyo", null, { "name": "Alice" }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn as_much_as_a_user_may_have_fits_into_a_request() {
    let app = TestApp::start().await;
    let most: Value =
        (10..60).map(|number| (format!("{}{number}", "n".repeat(62)), json!("v".repeat(1024)))).collect();

    let (status, user) = app.product(Method::PUT, "/users/alice", json!({ "attributes": most })).await;

    assert_eq!((status, &user["attributes"]), (201, &most));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_sees_a_users_details_and_sets_the_zone() {
    let app = TestApp::start().await;
    let body = json!({ "quietHours": { "from": "22:00", "to": "07:00" }, "attributes": { "name": "Alice" } });
    app.product(Method::PUT, "/users/alice", body).await;

    let (well, said) = app.command(&["users", "set-timezone", "alice", "America/New_York"]).await;

    assert!(well, "{said}");
    let (_, shown) = app.command(&["users", "show", "alice"]).await;
    for line in
        ["timezone America/New_York", "quietHours.from 22:00", "quietHours.to 07:00", "attributes.name Alice"]
    {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(shown.lines().any(|shown| words(shown) == words(line)), "{line}: {shown}");
    }
    for (arguments, told) in [
        (["users", "set-timezone", "alice", "america/new_york"], "is America/New_York meant?"),
        (["users", "set-timezone", "bob", "America/New_York"], "user \"bob\" is not known here"),
    ] {
        let (well, said) = app.command(&arguments).await;
        assert!(!well && said.contains(told), "{said}");
    }
    assert_eq!(app.user("alice").await["timezone"], "America/New_York");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_of_a_user_is_nowhere_once_it_is_erased() {
    let app = TestApp::start().await;
    let body = json!({ "timezone": "Europe/Berlin", "attributes": { "name": "Sesame" } });
    app.product(Method::PUT, "/users/alice", body).await;

    assert_eq!(app.product(Method::DELETE, "/users/alice", Value::Null).await.0, 204);

    assert_eq!(
        app.count("SELECT count(*) FROM channel_users WHERE attributes::TEXT LIKE '%Sesame%'").await,
        Some(0)
    );
    assert!(!app.logged().contains("Sesame"), "attributes are never logged");
    let (_, again) = app.product(Method::PUT, "/users/alice", json!({})).await;
    assert_eq!(details(&again), json!(["free", null, null, {}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_calls_users_by_their_attributes_and_others_by_its_default() {
    const OTHER: &str = "whatsapp:+15005550101";
    let app = TestApp::start().await;
    for phone in [PERSON, OTHER] {
        app.link(phone).await;
    }
    let named = json!({ "attributes": { "name": "Zoë\n{{user.id}}", "city": "Köln" } });
    app.product(Method::PUT, &format!("/users/{PERSON}"), named).await;
    let greeting = |message: &str| {
        format!(
            "cron = \"0 0 29 2 *\"\n[audience]\neveryone = true\n[content]\nmessage = \"{message}\"\n\
             [template]\ncontent_sid = \"HX{}\"\nvariables = {{ \"1\" = \"{{{{user.name|friend}}}}\" }}\n",
            "a".repeat(32)
        )
    };
    app.write_schedule("greeting", &greeting("Hi {{user.name}}"));
    let (well, said) = app.command(&["schedules", "check"]).await;
    assert!(!well && said.contains("write {{user.name|…}}"), "{said}");
    app.write_schedule("greeting", &greeting("Hi {{user.name|friend}}, {{user.attributes.city|your city}}."));
    app.until("the schedule is loaded", async || {
        app.count("SELECT count(*) FROM channel_schedules").await == Some(1)
    })
    .await;

    assert!(app.command(&["schedules", "fire", "greeting"]).await.0);
    app.drained_well().await;
    // Outside of the window the template speaks, whose variables have no line breaks.
    sqlx::raw_sql("UPDATE channel_addresses SET last_inbound_at = now() - interval '25 hours'")
        .execute(&app.pg)
        .await
        .unwrap();
    assert!(app.command(&["schedules", "fire", "greeting"]).await.0);
    app.drained_well().await;

    let said = |phone: &str| app.said_to(phone).remove(0);
    assert!(said(PERSON).starts_with("Hi Zoë\n{{user.id}}, Köln."), "{}", said(PERSON));
    assert!(said(OTHER).starts_with("Hi friend, your city."), "{}", said(OTHER));
    let variables =
        "SELECT string_agg(d.content_variables ->> '1', '|' ORDER BY d.user_id) FROM channel_deliveries d
                     JOIN channel_chunks c ON c.delivery_id = d.id WHERE c.form = 'template'";
    assert_eq!(app.text(variables).await, "Zoë {{user.id}}|friend");
}
