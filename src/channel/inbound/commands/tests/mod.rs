//! What people write, and what it means to the channel.

/// In any spelling.
mod any_spelling;
/// As people write it.
mod bodies;

use serde_json::json;

use super::*;
use bodies::{BROWSER, STARTS, STOPS, TEXTS, TOKENS};

fn read(body: &str) -> PersonCommand {
    PersonCommand::read(body, Words::FIXED)
}

#[test]
fn every_body_means_what_the_table_says() {
    for (body, word) in STOPS {
        assert_eq!(read(body), PersonCommand::Stop(word), "{body:?}");
    }
    for body in STARTS {
        assert_eq!(read(body), PersonCommand::Start, "{body:?}");
    }
    for body in BROWSER {
        assert_eq!(read(body), PersonCommand::EndBrowserSession, "{body:?}");
    }
    for (body, symbols) in TOKENS {
        assert_eq!(read(body), PersonCommand::Claim(ClaimToken((*symbols).to_owned())), "{body:?}");
    }
    for body in TEXTS {
        assert_eq!(read(body), PersonCommand::Text, "{body:?}");
    }
    assert!(STOPS.len() + STARTS.len() + BROWSER.len() + TOKENS.len() + TEXTS.len() >= 150);
}

#[test]
fn revoke_and_optout_count_where_the_operator_wants_it() {
    let words = Words { revoke_and_optout: true, ..Words::FIXED };
    for body in ["REVOKE", "revoke.", "\"OptOut\"", "optout 🛑"] {
        assert_eq!(read(body), PersonCommand::Text, "{body:?}");
        assert!(
            matches!(PersonCommand::read(body, words), PersonCommand::Stop("REVOKE" | "OPTOUT")),
            "{body:?}"
        );
    }
    for body in ["opt out", "revoke it", "I revoke"] {
        assert_eq!(PersonCommand::read(body, words), PersonCommand::Text, "{body:?}");
    }
}

#[test]
fn in_the_dashboard_browser_phrases_and_stop_are_commands_and_nothing_else() {
    for body in ["stop browser", "Browser stop.", "**STOP SESSION**"] {
        assert_eq!(PersonCommand::of_dashboard(body), PersonCommand::EndBrowserSession, "{body:?}");
    }
    for body in ["stop", "STOP!", "\"stop\"", "stopall", "Unsubscribe"] {
        assert!(matches!(PersonCommand::of_dashboard(body), PersonCommand::Stop(_)), "{body:?}");
    }
    for body in ["cancel", "end", "quit", "start", "revoke", "LINK-ABCD-EFGH", "stop please", "/stop"] {
        assert_eq!(PersonCommand::of_dashboard(body), PersonCommand::Text, "{body:?}");
    }
}

#[test]
fn a_button_and_a_row_count_by_what_is_behind_them() {
    for (body, params, command) in [
        ("No more", json!({ "ButtonText": "No more", "ButtonPayload": "STOP" }), PersonCommand::Stop("STOP")),
        ("No more", json!({ "ButtonText": "No more", "ButtonPayload": "stop" }), PersonCommand::Stop("STOP")),
        ("Go on", json!({ "ButtonText": "Go on", "ButtonPayload": "START" }), PersonCommand::Start),
        (
            "Cancel",
            json!({ "ButtonText": "Cancel", "ButtonPayload": "cancel_order_17" }),
            PersonCommand::Text,
        ),
        ("Stop", json!({ "ButtonText": "Stop" }), PersonCommand::Stop("STOP")),
        ("Stop", json!({ "ButtonText": "Stop", "ButtonPayload": "" }), PersonCommand::Stop("STOP")),
        (
            "Nothing",
            json!({ "ListTitle": "Nothing", "ListId": "unsubscribe" }),
            PersonCommand::Stop("UNSUBSCRIBE"),
        ),
        ("End", json!({ "ListTitle": "End", "ListId": "chapter-9" }), PersonCommand::Text),
        ("stop", json!({}), PersonCommand::Stop("STOP")),
    ] {
        let payload = params["ButtonPayload"].as_str().or(params["ListId"].as_str());
        let message = InboundMessage {
            sid: "SM1".to_owned(),
            from: "whatsapp:+15005550100".to_owned(),
            body: body.to_owned(),
            account_sid: None,
            to: None,
            external_user_id: None,
            opt_out_type: None,
            payload: payload.filter(|payload| !payload.is_empty()).map(str::to_owned),
            media: 0,
        };

        assert_eq!(PersonCommand::of(&message, Words::FIXED), command, "{params}");
        assert_eq!(PersonCommand::of_stored(body, &params, Words::FIXED), command, "{params}");
    }
}
