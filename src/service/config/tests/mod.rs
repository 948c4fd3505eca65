//! The defaults, a file and the environment over each other, and what is told of what is wrong.

/// Production, and secrets.
mod production;

use std::time::Duration;

use whatsapp_text::text::Format;

use super::*;

fn load(env: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    load_with(None, env, false)
}

fn load_with(file: Option<&str>, env: &[(&str, &str)], sandbox: bool) -> Result<Config, ConfigErrors> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.toml");
    let path = file.map(|text| {
        std::fs::write(&path, text).unwrap();
        path.as_path()
    });
    Config::load(path, env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())), sandbox)
}

fn errors(result: Result<Config, ConfigErrors>) -> Vec<String> {
    result.map(|_| ()).unwrap_err().0
}

const CREDENTIALS: [(&str, &str); 3] = [
    ("TWILIO_ACCOUNT_SID", "AC0123456789abcdef0123456789abcdef"),
    ("TWILIO_AUTH_TOKEN", "one, two"),
    ("TWILIO_WHATSAPP_NUMBER", "14155550123"),
];

#[test]
fn with_nothing_set_it_is_development_on_the_sandbox() {
    let config = load(&[]).unwrap();

    assert_eq!(config.environment, Environment::Development);
    assert!(config.sandbox);
    assert_eq!(config.keys.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.twilio.whatsapp_number, "whatsapp:+14155238886");
    assert_eq!(config.keys.queue, queue::settings::QueueSettings::default());
}

#[test]
fn the_environment_goes_over_the_file_and_the_file_over_the_defaults() {
    let file = "[pools.replies]\nconcurrency = 7\ntimeout = \"90s\"\n[agent]\nattempts = 5\n";

    let config = load_with(
        Some(file),
        &[("CLOUDYBOT__POOLS__REPLIES__CONCURRENCY", "9"), ("CLOUDYBOT__AGENT__DEBOUNCE", "")],
        false,
    )
    .unwrap();

    let replies = &config.keys.pools.replies;
    assert_eq!((replies.concurrency, replies.timeout), (9, Duration::from_secs(90)));
    assert_eq!((config.keys.agent.attempts, config.keys.agent.debounce), (5, Duration::from_millis(1500)));
}

#[test]
fn whatever_is_wrong_is_told_at_once_and_by_name() {
    let file = "[agent]\ndebonce = 3\nattempts = \"three\"\n[nonsense]\nx = 1\n";

    let told = errors(load_with(
        Some(file),
        &[
            ("CLOUDYBOT__QUEUE__CRASH_LIMIT", "soon"),
            ("CLOUDYBOT__QUEUE__LEES_MS", "1"),
            ("CLOUDYBOT_ENV", "prod"),
        ],
        false,
    ));

    assert_eq!(told.len(), 6, "{told:#?}");
    let expected = [
        "agent.attempts is a text \"three\"; it must be a whole number",
        "agent.debonce is not known; known here are attempts, debounce, debounce_cap, format, tell_after, timeout, turn_budget",
        "nonsense is not known; known here are agent, alerts, backfill, callbacks, ",
        "CLOUDYBOT__QUEUE__CRASH_LIMIT is \"soon\"; it must be a whole number",
        "CLOUDYBOT__QUEUE__LEES_MS: queue.lees_ms is not known; known here are crash_limit, ",
        "CLOUDYBOT_ENV is \"prod\"; it must be \"development\" or \"production\"",
    ];
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.contains(expected), "{told} / {expected}");
    }
}

#[test]
fn an_unknown_format_is_told_with_the_known_ones() {
    assert_eq!(load(&[]).unwrap().keys.agent.format, Format::Auto);

    for (file, env) in
        [(Some("[agent]\nformat = \"html\""), None), (None, Some(("CLOUDYBOT__AGENT__FORMAT", "html")))]
    {
        let told = errors(load_with(file, env.as_slice(), false));

        assert_eq!(told.len(), 1, "{told:?}");
        let expected =
            "unknown variant `html`, expected one of `auto`, `markdown`, `whatsapp` in `agent.format`";
        assert!(told[0].contains(expected), "{told:?}");
    }
}

#[test]
fn a_duration_has_its_unit_with_it_and_is_told_when_it_has_not() {
    for (given, told) in [
        (
            "[agent]\ndebounce = 1500",
            "agent.debounce is a whole number 1500; it must be a duration like \"1500ms\"",
        ),
        ("[agent]\ndebounce = \"1500\"", "agent.debounce is a text \"1500\"; time unit needed"),
        ("[agent]\ndebounce = \"-5s\"", "agent.debounce is a text \"-5s\"; expected number at 0: it must be"),
        ("[agent]\ndebounce = \"5 fortnights\"", "unknown time unit \"fortnights\""),
        ("[agent]\ndebounce = \"\"", "value was empty: it must be a duration like"),
        ("[queue]\nhistory = \"200y\"", "queue.history is a text \"200y\"; it must be at most 100 years"),
        ("[queue]\nhistory = \"99999999999999y\"", "number is too large"),
        (
            "[twilio]\nstatus_look_ups = [\"1h\", \"2\"]",
            "time unit needed, for example 2sec or 2ms: it must be",
        ),
        ("[twilio]\nstatus_look_ups = \"1h\"", "twilio.status_look_ups is a text \"1h\"; it must be a list"),
    ] {
        let errors = errors(load_with(Some(given), &[], false));

        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains(told), "{errors:?} / {told}");
    }
    for (value, told) in [
        ("1500", "CLOUDYBOT__QUEUE__LEASE is \"1500\"; time unit needed"),
        ("soon", "CLOUDYBOT__QUEUE__LEASE is \"soon\"; expected number at 0: it must be a duration like"),
    ] {
        assert!(errors(load(&[("CLOUDYBOT__QUEUE__LEASE", value)]))[0].starts_with(told), "{told}");
    }
    let look_ups = [("CLOUDYBOT__TWILIO__STATUS_LOOK_UPS", "[\"90s\", \"1h 30m\"]")];
    let minutes = |minutes: f64| Duration::from_secs_f64(minutes * 60.0);
    assert_eq!(load(&look_ups).unwrap().keys.twilio.sending.status_look_ups, [minutes(1.5), minutes(90.0)]);
}

#[test]
fn a_key_that_had_its_unit_in_its_name_is_told_with_its_name_and_value_of_now() {
    let file = "[agent]\ndebounce_ms = 1500\ntimeout_secs = \"long\"\n[pools.replies]\ntimeout_secs = 90\n\
        [twilio]\nin_doubt_give_up_hours = 24\nstatus_look_ups_secs = [900, 3600]\n[queue]\nhistory_days = -1\n";
    let env = [
        ("CLOUDYBOT__AGENT__DEBOUNCE_CAP_MS", "6000"),
        ("CLOUDYBOT__TWILIO__STATUS_LOOK_UPS_SECS", "[5]"),
        ("CLOUDYBOT__LOG__REPEAT_SECS", "never"),
        ("CLOUDYBOT__AGENT__ATTEMPTS_MS", "1"),
    ];

    let mut told = errors(load_with(Some(file), &env, false)).into_iter();

    for expected in [
        ": agent.debounce_ms = 1500 is now agent.debounce = \"1500ms\"",
        ": agent.timeout_secs = \"long\" is now agent.timeout; it must be a duration like",
        ": pools.replies.timeout_secs = 90 is now pools.replies.timeout = \"90s\"",
        ": queue.history_days = -1 is now queue.history; it must be a duration like",
        ": twilio.in_doubt_give_up_hours = 24 is now twilio.in_doubt_give_up = \"24h\"",
        ": twilio.status_look_ups_secs = [900, 3600] is now twilio.status_look_ups = [\"900s\", \"3600s\"]",
        "CLOUDYBOT__AGENT__DEBOUNCE_CAP_MS=6000 is now CLOUDYBOT__AGENT__DEBOUNCE_CAP=6000ms",
        "CLOUDYBOT__TWILIO__STATUS_LOOK_UPS_SECS=[5] is now CLOUDYBOT__TWILIO__STATUS_LOOK_UPS=[\"5s\"]",
        "CLOUDYBOT__LOG__REPEAT_SECS=never is now CLOUDYBOT__LOG__REPEAT; it must be a duration like",
        "CLOUDYBOT__AGENT__ATTEMPTS_MS: agent.attempts_ms is not known; known here are ",
    ] {
        let told = told.next().unwrap_or_default();
        assert!(told.contains(expected), "{told} / {expected}");
    }
    assert_eq!(told.next(), None);
}

#[test]
fn some_but_not_all_of_twilios_credentials_name_the_missing() {
    let told = errors(load(&CREDENTIALS[..1]));

    assert_eq!(
        told,
        [
            "Twilio's credentials are incomplete: set TWILIO_AUTH_TOKEN and TWILIO_WHATSAPP_NUMBER too, or none of the three to use the sandbox"
        ]
    );
}

#[test]
fn credentials_lead_to_twilio_and_the_flag_back_to_the_sandbox() {
    let real = load(&CREDENTIALS).unwrap();
    let sandboxed = load_with(None, &CREDENTIALS, true).unwrap();

    assert!(!real.sandbox && sandboxed.sandbox);
    assert_eq!(real.twilio.signing_keys.auth_tokens.first().expose_secret(), "one");
    assert_eq!(sandboxed.twilio.whatsapp_number, "whatsapp:+14155550123");
}

#[test]
fn an_api_key_goes_with_its_secret_and_leaves_the_auth_token_to_webhooks() {
    let key = ("TWILIO_API_KEY", "SK0123456789abcdef0123456789abcdef");
    let secret = ("TWILIO_API_SECRET", "of the key");
    let with = |more: &[(&str, &str)]| load(&[&CREDENTIALS[..], more].concat());

    let account = with(&[key, secret]).unwrap().twilio.account;
    let api_key = account.api_key.unwrap();
    assert_eq!((api_key.sid.as_str(), api_key.secret.expose_secret()), (key.1, "of the key"));
    assert_eq!(account.auth_token.expose_secret(), "one");
    assert!(with(&[]).unwrap().twilio.account.api_key.is_none());

    for (given, told) in [
        (&[key][..], "TWILIO_API_SECRET is not"),
        (&[secret], "TWILIO_API_KEY is not"),
        (&[("TWILIO_API_KEY", "AC0123456789abcdef0123456789abcdef"), secret], "TWILIO_API_KEY must be SK"),
    ] {
        let errors = errors(with(given));

        assert!(errors.len() == 1 && errors[0].contains(told), "{errors:?}");
        assert!(!errors[0].contains("of the key"), "{errors:?}");
    }
}

#[test]
fn a_public_url_that_twilio_refuses_and_a_key_without_an_id_are_named() {
    for (name, value, expected) in [
        ("TWILIO_WEBHOOK_PUBLIC_URL", "https://my_bot.example.com", "underscore"),
        ("TWILIO_WEBHOOK_PUBLIC_URL", "https://bücher.example", "xn--bcher-kva.example"),
        ("TWILIO_WEBHOOK_PUBLIC_URL", "https://bot.example.com/a b", "percent-encoded"),
        ("TWILIO_WEBHOOK_PUBLIC_URL", "https://bot.example.com/webhooks/whatsapp/status", "without /status"),
        ("TWILIO_WEBHOOK_KEYS", "one=secret-one, secret-two", "number 2 must be a key's id"),
    ] {
        let told = errors(load(&[&CREDENTIALS[..], &[(name, value)]].concat()));

        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(name) && told[0].contains(expected), "{told:?}");
        assert!(!told[0].contains("secret-"), "{told:?}");
    }
}

#[test]
fn an_operator_changes_and_adds_plans() {
    let file = "[plans]\ndefault = \"Team\"\n[plans.Team]\nwhatsappSends = 50\n[plans.PRO]\nwhatsapp = false";

    let config = load_with(Some(file), &[("CLOUDYBOT__PLANS__MAX__WHATSAPP_SENDS", "7")], false).unwrap();

    let (team, pro) = (config.plans.default(), config.plans.find("pro").unwrap());
    assert_eq!((team.name.as_str(), team.whatsapp_sends, team.whatsapp), ("team", 50, true));
    assert_eq!((pro.whatsapp_sends, pro.whatsapp), (200, false));
    assert_eq!(config.plans.find("MAX").unwrap().whatsapp_sends, 7);
    assert_eq!(config.plans.of("gone").name, "team");
}

#[test]
fn a_plan_that_is_none_and_a_key_that_is_none_are_named() {
    let told = errors(load(&[("CLOUDYBOT__PLANS__DEFAULT", "gold")]));
    assert_eq!(told, ["plans.default is \"gold\"; the plans are free, growth, max, pro"]);

    let told = errors(load_with(Some("[plans.team]\nsends = 5"), &[], false));
    assert!(told[0].contains("plans.team.sends"), "{told:?}");
}

#[test]
fn moderation_that_makes_no_sense_is_named() {
    let file = "[moderation]\nmode = \"maybe\"\nrules = [\"fine\", \"(\"]\nbase_url = \"nowhere\"";

    let told = errors(load_with(Some(file), &[], false));

    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("moderation.mode is \"maybe\""), "{told:?}");
    assert!(told[1].contains("moderation.rules, number 2"), "{told:?}");
    assert!(told[2].contains("moderation.base_url"), "{told:?}");
}

#[test]
fn a_memory_that_nobody_knows_is_named() {
    let told = errors(load_with(Some("[openclaw]\nmemory = \"session\""), &[], false));

    assert_eq!(told, ["openclaw.memory is \"session\"; it must be \"auto\", \"gateway\" or \"thread\""]);
}

#[test]
fn moderation_rules_that_fit_everything_or_are_too_large_together_are_named() {
    let told =
        |rules: &[&str]| errors(load_with(Some(&format!("[moderation]\nrules = {rules:?}")), &[], false));
    let blank = told(&["fine", " "]);
    let large = told(&["(foo|bar){2000}"; 12]);

    assert_eq!(blank, ["moderation.rules, number 2, is blank: nearly every text would fit it"]);
    assert_eq!(large.len(), 1, "{large:?}");
    assert!(large[0].contains("moderation.rules cannot be used together"), "{large:?}");
}

#[test]
fn an_address_is_given_once_and_can_be_read() {
    let twice = errors(load(&[("CLOUDYBOT__SERVER__PRIVATE_LISTEN", "127.0.0.1:8080")]));
    let unreadable = errors(load(&[("CLOUDYBOT__SERVER__PRIVATE_LISTEN", "8082")]));

    assert!(twice[0].contains("127.0.0.1:8080 is given to two of server.listen"), "{twice:?}");
    assert!(unreadable[0].contains("\"8082\" is no address like 127.0.0.1:8082"), "{unreadable:?}");
}

#[test]
fn an_origin_is_a_scheme_and_a_host() {
    let config = load(&[("CLOUDYBOT__SERVER__ORIGINS", "[\"https://Admin.Example.com:8443\"]")]).unwrap();
    let told =
        errors(load(&[("CLOUDYBOT__SERVER__ORIGINS", "[\"admin.example.com\", \"https://a.example/x\"]")]));

    assert_eq!(config.hosts, ["admin.example.com"]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("server.origins holds \"admin.example.com\""), "{told:?}");
}

#[test]
fn where_users_own_gateways_may_be_is_read_and_the_operators_own_is_among_it() {
    let config = load(&[
        ("OPENCLAW_BASE_URL", "http://127.0.0.1:18789"),
        ("CLOUDYBOT__OPENCLAW__ALLOWED_HOSTS", "[\"10.0.0.0/8\"]"),
    ])
    .unwrap();
    let told = errors(load(&[("CLOUDYBOT__OPENCLAW__ALLOWED_HOSTS", "[\"http://x\"]")]));
    let is_allowed = |base_url| {
        config.agent_hosts.check(&agent::target::Endpoint::new(base_url, &"".into()).unwrap()).is_ok()
    };

    assert!(is_allowed("http://10.0.0.7") && is_allowed("http://127.0.0.1:18789"));
    assert!(!is_allowed("http://127.0.0.1:8080"));
    assert!(told[0].starts_with("openclaw.allowed_hosts: \"http://x\""), "{told:?}");
}

#[test]
fn a_country_that_is_none_and_an_empty_list_are_named() {
    let listed = ("CLOUDYBOT__COMPLIANCE__AI_PROVIDER", "listed_countries");

    let told = errors(load(&[("CLOUDYBOT__COMPLIANCE__COUNTRIES", "[\"BR\", \"Brazil\"]")]));
    assert!(told[0].contains("\"Brazil\" is no country"), "{told:?}");
    let told = errors(load(&[listed, ("CLOUDYBOT__COMPLIANCE__COUNTRIES", "[]")]));
    assert!(told[0].contains("compliance.countries is empty"), "{told:?}");
    assert_eq!(load(&[listed]).unwrap().keys.compliance.countries.len(), 31);
}
