//! What production demands, what development may show nobody, and that no secret is shown.

use super::*;

#[test]
fn production_lists_everything_it_lacks() {
    let told =
        errors(load(&[("CLOUDYBOT_ENV", "production"), ("TWILIO_WEBHOOK_SKIP_SIGNATURE_VALIDATION", "Yes")]));

    let needs = [
        "DATABASE_URL",
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
        "TWILIO_WHATSAPP_NUMBER",
        "TWILIO_WEBHOOK_PUBLIC_URL",
        "CLOUDYBOT_API_TOKEN",
        "CLOUDYBOT_ADMIN_TOKEN",
        "CLOUDYBOT_SECRET_KEY",
    ];
    for name in needs {
        assert!(told.contains(&format!("production needs {name}")), "{name}: {told:#?}");
    }
    assert!(told.iter().any(|error| error.contains("SKIP_SIGNATURE_VALIDATION")), "{told:#?}");
    assert!(told.iter().any(|error| error.contains("production needs server.private_listen")), "{told:#?}");
    assert!(told.iter().any(|error| error.contains("production needs an agent")), "{told:#?}");
    assert_eq!(told.len(), needs.len() + 3);
}

#[test]
fn production_starts_with_everything_in_place() {
    let mut env = CREDENTIALS.to_vec();
    env.extend([
        ("CLOUDYBOT_ENV", "production"),
        ("DATABASE_URL", "postgres://db/x"),
        ("TWILIO_WEBHOOK_PUBLIC_URL", "https://bot.example.com/webhooks/whatsapp#rc=5&rp=all"),
        ("CLOUDYBOT__SERVER__LISTEN", "0.0.0.0:8080"),
        ("CLOUDYBOT__SERVER__PRIVATE_LISTEN", "10.0.0.1:8082"),
        ("OPENCLAW_BASE_URL", "https://gateway.example.com"),
        ("OPENCLAW_TOKEN", "of the gateway"),
        ("CLOUDYBOT_API_TOKEN", "a long one for the product"),
        ("CLOUDYBOT_ADMIN_TOKEN", "a long one for administrators"),
        ("CLOUDYBOT_SECRET_KEY", "a long one for all the hashes, short former"),
    ]);

    let config = load(&env).unwrap();

    assert_eq!(config.environment, Environment::Production);
    assert!(!config.sandbox);
}

#[test]
fn production_wants_tokens_of_its_own() {
    let mut env = CREDENTIALS.to_vec();
    env.extend([
        ("CLOUDYBOT_ENV", "production"),
        ("DATABASE_URL", "postgres://db/x"),
        ("TWILIO_WEBHOOK_PUBLIC_URL", "https://bot.example.com/webhooks/whatsapp"),
        ("CLOUDYBOT__SERVER__PRIVATE_LISTEN", "10.0.0.1:8082"),
    ]);
    let base = env.clone();
    let with = |api, admin| {
        let tokens = [("CLOUDYBOT_API_TOKEN", api), ("CLOUDYBOT_ADMIN_TOKEN", admin)];
        errors(load(&[base.clone(), tokens.to_vec()].concat()))
    };

    assert!(
        with("development-api-token", "secret")[0].contains("CLOUDYBOT_API_TOKEN is the one of development")
    );
    assert!(with("same", "same")[0].contains("are the same"));
    for name in ["CLOUDYBOT_API_TOKEN has 1 char", "CLOUDYBOT_ADMIN_TOKEN has 1 char"] {
        assert!(with("a", "b").iter().any(|error| error.contains(name)), "{name}");
    }
    env.push(("CLOUDYBOT_SECRET_KEY", "c, the long one that it was before the rotation"));
    let told = errors(load(&env));
    assert!(told.iter().any(|error| error.contains("CLOUDYBOT_SECRET_KEY has 1 char")), "{told:#?}");
}

#[test]
fn in_development_nobody_else_reaches_a_service_with_known_tokens() {
    for key in ["LISTEN", "DASHBOARD_LISTEN", "PRIVATE_LISTEN"] {
        let told = errors(load(&[(&format!("CLOUDYBOT__SERVER__{key}"), "0.0.0.0:8089")]));

        assert!(told[0].contains("listen on 127.0.0.1"), "{key}: {told:?}");
        let short = [("CLOUDYBOT_API_TOKEN", "a"), ("CLOUDYBOT_ADMIN_TOKEN", "b")];
        let told =
            errors(load(&[&short[..], &[(&format!("CLOUDYBOT__SERVER__{key}"), "0.0.0.0:8089")]].concat()));
        assert!(told[0].contains("it could be guessed"), "{key}: {told:?}");
    }
}

#[test]
fn the_dashboard_is_where_links_lead_and_framed_over_https_alone() {
    let told = |env: &[(&str, &str)]| errors(load(env)).join("\n");
    let listens = ("CLOUDYBOT__SERVER__DASHBOARD_LISTEN", "10.0.0.1:8083");
    let url = |url| ("CLOUDYBOT__DASHBOARD__URL", url);
    let frames = ("CLOUDYBOT__DASHBOARD__EMBED_IN", r#"["https://App.example.com/"]"#);
    let production = ("CLOUDYBOT_ENV", "production");

    assert!(told(&[production, listens]).contains("production needs dashboard.url"));
    let by_http = [production, listens, url("http://chat.example.com")];
    assert!(told(&by_http).contains("dashboard.url must begin with https://"));
    assert!(!told(&[production, listens, url("https://chat.example.com")]).contains("dashboard"));
    assert!(told(&[frames]).contains("dashboard.embed_in needs dashboard.url with https://"));
    let anybody = ("CLOUDYBOT__DASHBOARD__EMBED_IN", r#"["*"]"#);
    assert!(told(&[url("https://chat.example.com"), anybody]).contains("dashboard.embed_in holds \"*\""));
    assert!(told(&[url("chat.example.com/x")]).contains("dashboard.url holds"));
    let tokens = [
        ("CLOUDYBOT_API_TOKEN", "a long one for the product"),
        ("CLOUDYBOT_ADMIN_TOKEN", "a long one for administrators"),
    ];
    let open = [&tokens[..], &[("CLOUDYBOT__SERVER__DASHBOARD_LISTEN", "0.0.0.0:8083")]].concat();
    assert!(told(&open).contains("anybody there is any user"));

    let config = load(&[url("https://chat.example.com:443"), frames]).unwrap();
    assert_eq!(config.dashboard.own.as_deref(), Some("https://chat.example.com"));
    assert_eq!(config.dashboard.embed_in, ["https://app.example.com"]);
    assert_eq!(config.hosts, ["chat.example.com"]);
}

#[test]
fn the_switch_of_the_signature_check_is_read_strictly() {
    for (text, skips) in [
        ("true", true),
        ("1", true),
        ("YES", true),
        ("on", true),
        ("false", false),
        ("0", false),
        ("No", false),
        ("off", false),
        ("", false),
    ] {
        let config = load(&[("TWILIO_WEBHOOK_SKIP_SIGNATURE_VALIDATION", text)]).unwrap();
        assert_eq!(config.twilio.skip_signature, skips, "{text}");
    }
    assert!(load(&[("TWILIO_WEBHOOK_SKIP_SIGNATURE_VALIDATION", "maybe")]).is_err());
}

#[test]
fn no_secret_is_shown() {
    let mut env = CREDENTIALS.to_vec();
    env.extend([
        ("DATABASE_URL", "postgres://u:hunter1@db/x"),
        ("TWILIO_AUTH_TOKEN", "hunter2,hunter3"),
        ("CLOUDYBOT_API_TOKEN", "hunter4"),
        ("CLOUDYBOT_ADMIN_TOKEN", "hunter5"),
        ("CLOUDYBOT_SECRET_KEY", "hunter6"),
        ("OPENCLAW_BASE_URL", "https://gateway.example.com"),
        ("OPENCLAW_TOKEN", "hunter7"),
        ("CLOUDYBOT__MODERATION__BASE_URL", "https://moderator.example.com"),
        ("CLOUDYBOT__MODERATION__TOKEN", "hunter8"),
        ("CLOUDYBOT__DATABASE__DIRECT_URL", "postgres://u:hunter9@db/x"),
        ("CLOUDYBOT__ALERTS__WEBHOOK_URL", "https://hooks.example.com/hunter10"),
    ]);

    let shown = format!("{:?}", load(&env).unwrap());

    assert!(!shown.contains("hunter"), "{shown}");
    for wrong in [
        "[server]\napi_token = \"hunter",
        "[server]\napi_token = 0hunter",
        "[openclaw]\ntoken = [\"hunter\"]",
    ] {
        let told = errors(load_with(Some(wrong), &[], false));

        assert!(!told.is_empty() && !told[0].contains("hunter"), "{told:?}");
    }
}
