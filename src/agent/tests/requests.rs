//! What a gateway is asked.

use std::process::Command;

use std::time::Duration;

use agent::Agent;
use agent::allowed_hosts::AllowedHosts;
use agent::client::Gateways;
use agent::target::{Endpoint, Target};
use agent::turn::{Channel, Reply, TurnPart, TurnRequest};
use serde_json::json;

use crate::gateway::{Gateway, TOKEN, completion, text, turn};

fn gateways() -> Gateways {
    Gateways::new(AllowedHosts::parse(&["127.0.0.1".to_owned()]).unwrap(), Duration::from_secs(30)).unwrap()
}

#[tokio::test]
async fn a_turn_is_one_user_message_in_the_session_of_its_conversation() {
    let gateway = Gateway::answering(|| completion("Hello.")).await;
    let mut turn = turn("hi");
    turn.parts.push(TurnPart::Text("are you there?".to_owned()));

    let reply = gateway.agent().send_to_openclaw(&turn).await;

    assert_eq!(text(reply), "Hello.");
    let asked = gateway.asked();
    assert_eq!(asked.line, "POST /v1/chat/completions");
    assert_eq!(asked.header("authorization"), Some("Bearer gateway-token"));
    assert_eq!(asked.header("x-openclaw-message-channel"), Some("whatsapp"));
    assert_eq!(asked.header("x-openclaw-agent-id"), None);
    assert_eq!(asked.header("x-openclaw-session-key"), Some("whatsapp-7"));
    let messages = json!([{ "role": "user", "content": "hi\nare you there?" }]);
    let body = json!({ "model": "openclaw", "user": "whatsapp-7", "stream": true, "messages": messages });
    assert_eq!(asked.body, body);
}

#[tokio::test]
async fn an_image_travels_as_a_data_uri() {
    let gateway = Gateway::answering(|| completion("A cat.")).await;
    let mut turn = turn("what is this?");
    turn.channel = Channel::Dashboard;
    turn.parts.push(TurnPart::Image { mime: "image/JPEG".to_owned(), bytes: b"cat".to_vec() });

    gateway.agent().send_to_openclaw(&turn).await.unwrap();

    let asked = gateway.asked();
    assert_eq!(asked.header("x-openclaw-message-channel"), Some("dashboard"));
    let words = json!({ "type": "text", "text": "what is this?\n[picture (image/JPEG, 1 KB)]" });
    let image = json!({ "type": "image_url", "image_url": { "url": "data:image/jpeg;base64,Y2F0" } });
    assert_eq!(asked.body["messages"][0]["content"], json!([words, image]));
}

#[tokio::test]
async fn a_turn_that_is_asked_again_says_so() {
    let gateway = Gateway::answering(|| completion("Hello.")).await;
    let turn = TurnRequest { asked_before: Some(Duration::from_secs(10)), ..turn("hi") };

    gateway.agent().send_to_openclaw(&turn).await.unwrap();

    let messages = gateway.asked().body["messages"].clone();
    assert_eq!((&messages[0]["role"], &messages[1]["content"]), (&json!("system"), &json!("hi")));
    assert!(messages[0]["content"].as_str().unwrap().contains("do not do it again"), "{messages}");
}

#[tokio::test]
async fn the_agent_and_its_model_are_chosen_by_the_target() {
    let gateway = Gateway::answering(|| completion("Hello.")).await;
    let cases = [
        (Some("research"), None, "openclaw/research", None),
        (Some("research"), Some("big/model"), "openclaw/research", Some("big/model")),
        (None, Some("any-model"), "any-model", None),
        (Some(" "), None, "openclaw", None),
    ];
    for (agent_id, model, sent_model, sent_header) in cases {
        let target =
            Target { endpoint: None, agent_id: agent_id.map(Into::into), model: model.map(Into::into) };

        gateway.agent().asking(&target, &gateways()).send_to_openclaw(&turn("hi")).await.unwrap();

        let asked = gateway.asked();
        assert_eq!(asked.body["model"], sent_model);
        assert_eq!(asked.header("x-openclaw-model"), sent_header);
        assert_eq!(asked.header("x-openclaw-agent-id"), agent_id.filter(|id| *id != " "));
    }
}

/// OpenClaw 2026.9 gives a session without an agent in its key to its default agent, whatever the other headers say.
#[tokio::test]
async fn the_session_of_a_conversation_belongs_to_the_agent_that_is_asked() {
    let gateway = Gateway::answering(|| completion("Hello.")).await;
    for (agent_id, conversation_id, session_key) in [
        (Some("research"), "whatsapp-7", "agent:research:whatsapp-7"),
        (Some("research"), "cron:7", "agent:research:conversation:cron:7"),
        (None, "whatsapp-7", "whatsapp-7"),
    ] {
        let target = Target { agent_id: agent_id.map(Into::into), ..Target::default() };
        let agent = gateway.agent().asking(&target, &gateways());
        let turn = TurnRequest { conversation_id: conversation_id.to_owned(), ..turn("hi") };

        agent.send_to_openclaw(&turn).await.unwrap();
        let of_the_turn = gateway.asked().header("x-openclaw-session-key").map(str::to_owned);
        agent.stop_browser_session(conversation_id, "message-12").await.unwrap_err();

        assert_eq!(of_the_turn.as_deref(), Some(session_key));
        assert_eq!(gateway.asked().body["sessionKey"], session_key, "the browser's");
    }
}

#[tokio::test]
async fn a_users_own_gateway_never_sees_the_token_of_another() {
    let shared = Gateway::answering(|| completion("shared")).await;
    let own = Gateway::answering(|| completion("own")).await;
    let target = Target { endpoint: Some(Endpoint::new(&own.url, &"".into()).unwrap()), ..Target::default() };

    for agent in [shared.agent(), Agent::Echo] {
        let reply = agent.asking(&target, &gateways()).send_to_openclaw(&turn("hi")).await;

        assert_eq!(text(reply), "own");
        assert_eq!(own.asked().header("authorization"), None);
    }
    assert_eq!(text(shared.ask("hi").await), "shared");
}

#[tokio::test]
async fn a_server_with_an_openai_base_address_works_as_it_is() {
    let server = Gateway::answering(|| completion("Hello.")).await;
    let endpoint = Endpoint::new(&format!("{}/v1/", server.url), &TOKEN.into()).unwrap();
    let target = Target { endpoint: Some(endpoint), agent_id: None, model: Some("some-model".to_owned()) };

    let agent = Agent::Echo.asking(&target, &gateways());

    assert_eq!(text(agent.send_to_openclaw(&turn("hi")).await), "Hello.");
    assert_eq!(server.asked().line, "POST /v1/chat/completions");
}

#[tokio::test]
async fn no_reply_in_any_case_is_silence() {
    for content in ["NO_REPLY", " no_reply\n"] {
        let gateway = Gateway::answering(move || completion(content)).await;

        assert_eq!(gateway.ask("hi").await.unwrap().reply, Reply::Silent);
    }
}

#[tokio::test]
async fn the_token_is_not_in_what_is_printed() {
    let gateway = Gateway::answering(|| completion("Hello.")).await;

    assert!(!format!("{:?}", gateway.agent()).contains(TOKEN));
}

/// The proxy is a closed port. Only a process of its own can have another environment.
#[test]
fn a_gateway_on_this_machine_is_reached_though_a_proxy_is_set() {
    let mut other_tests = Command::new(std::env::current_exe().unwrap());
    other_tests.args(["--exact", "requests::no_reply_in_any_case_is_silence"]);
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        other_tests.env(name, "http://127.0.0.1:9");
    }
    for name in ["NO_PROXY", "no_proxy"] {
        other_tests.env_remove(name);
    }

    let output = other_tests.output().unwrap();

    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
