//! The account's webhook Rules and Settings: how Twilio delivers the webhooks of a URL. A Setting's connection part replaces the overrides in the URL
//! (`#rc=5&rp=all`), and tries once unless it says otherwise.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::{LookupError, TwilioClient};
use crate::hosts::product_url;

/// A Rule: which webhooks it is for, and which Settings they get.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// `webhooks_rule_…`
    pub id: String,
    match_type: String,
    value: Option<String>,
    prefix: Option<String>,
    /// One of them, or two that share the webhooks.
    #[serde(default)]
    settings: Vec<SettingReference>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SettingReference {
    setting_id: String,
}

/// A Setting, as far as retries go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Setting {
    /// `webhooks_setting_…`
    pub id: String,
    connection: Option<Connection>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    retry_policy: Option<RetryPolicy>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RetryPolicy {
    #[serde(default)]
    retry_count: u32,
    #[serde(default)]
    retry_on: Vec<String>,
}

impl Setting {
    /// It has Twilio try again when we answer 5xx, as we do while the database is away.
    #[must_use]
    pub fn retries(&self) -> bool {
        let policy = self.connection.as_ref().and_then(|connection| connection.retry_policy.as_ref());
        policy.is_some_and(|policy| {
            policy.retry_count > 0
                && policy.retry_on.iter().any(|on| matches!(on.as_str(), "ALL" | "HTTP_5XX"))
        })
    }
}

/// All Rules and Settings of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookRules {
    rules: Vec<Rule>,
    settings: Vec<Setting>,
}

impl WebhookRules {
    /// The Rule for a webhook, whose fragment does not count: one for exactly this URL, else the longest prefix, else the default.
    #[must_use]
    pub fn of(&self, url: &str) -> Option<&Rule> {
        let url = url.split('#').next().unwrap_or(url);
        let bare = url.split('?').next().unwrap_or(url);
        let exact = self.rules.iter().find(|rule| {
            rule.match_type == "EXACT_MATCH"
                && rule.value.as_deref().is_some_and(|value| value == url || value == bare)
        });
        let prefixed = self.rules.iter().filter(|rule| {
            rule.match_type == "PREFIX_MATCH"
                && rule.prefix.as_deref().is_some_and(|prefix| url.starts_with(prefix))
        });
        exact
            .or_else(|| prefixed.max_by_key(|rule| rule.prefix.as_deref().map_or(0, str::len)))
            .or_else(|| self.rules.iter().find(|rule| rule.match_type == "DEFAULT"))
    }

    /// The Settings of a Rule that have Twilio try once. One that the account does not list is Twilio's own, and nobody knows what it does.
    #[must_use]
    pub fn without_retries(&self, rule: &Rule) -> Vec<&Setting> {
        let ids: Vec<&str> = rule.settings.iter().map(|setting| setting.setting_id.as_str()).collect();
        self.settings
            .iter()
            .filter(|setting| ids.contains(&setting.id.as_str()) && !setting.retries())
            .collect()
    }
}

impl TwilioClient {
    /// The account's Rules and Settings. There are at most 50 of each, which is one page.
    pub async fn fetch_webhook_rules(&self) -> Result<WebhookRules, LookupError> {
        Ok(WebhookRules { rules: self.all_of("Rules").await?, settings: self.all_of("Settings").await? })
    }

    async fn all_of<T: DeserializeOwned>(&self, resource: &str) -> Result<Vec<T>, LookupError> {
        let mut url =
            product_url(&self.account.api_base_url, "webhooks", &format!("/v1/Webhooks/{resource}"));
        url.set_query(Some("pageSize=100"));
        let body: Value = self.look_up(&url).await?;
        let unreadable =
            || LookupError::Unanswered(format!("a list of webhook {resource} that cannot be read"));
        // Twilio names the list's key beside it.
        let key = body["meta"]["key"].as_str().map(str::to_owned);
        let list = match key {
            Some(key) => body.get(&key),
            None => body.as_object().and_then(|fields| fields.values().find(|value| value.is_array())),
        };
        serde_json::from_value(list.cloned().ok_or_else(unreadable)?).map_err(|_| unreadable())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules() -> WebhookRules {
        let rule = |id: &str, match_type: &str, at: (&str, &str), setting: &str| {
            let settings = json!([{ "settingId": setting, "percentage": 100 }]);
            serde_json::from_value(
                json!({ "id": id, "matchType": match_type, at.0: at.1, "settings": settings }),
            )
            .unwrap()
        };
        let setting = |id: &str, connection: Value| {
            serde_json::from_value(json!({ "id": id, "auth": {}, "connection": connection })).unwrap()
        };
        let policy = |count: u32, on: &str| json!({ "readTimeoutMs": 3000, "retryPolicy": { "retryCount": count, "retryOn": [on] } });
        WebhookRules {
            rules: vec![
                rule("default", "DEFAULT", ("x", ""), "none"),
                rule("host", "PREFIX_MATCH", ("prefix", "https://bot.example.com/"), "once"),
                rule("webhooks", "PREFIX_MATCH", ("prefix", "https://bot.example.com/webhooks/"), "never"),
                rule("exact", "EXACT_MATCH", ("value", "https://bot.example.com/webhooks/whatsapp"), "all"),
            ],
            settings: vec![
                setting("none", Value::Null),
                setting("once", policy(1, "CONNECTION_TIMEOUT")),
                setting("never", policy(0, "ALL")),
                setting("all", policy(5, "ALL")),
            ],
        }
    }

    #[test]
    fn the_rule_of_a_webhook_is_the_exact_one_then_the_longest_prefix_then_the_default() {
        let rules = rules();

        for (url, rule) in [
            ("https://bot.example.com/webhooks/whatsapp#rc=5&rp=all", "exact"),
            ("https://bot.example.com/webhooks/whatsapp/status?chunk=1", "webhooks"),
            ("https://bot.example.com/other", "host"),
            ("https://other.example.com/", "default"),
        ] {
            assert_eq!(rules.of(url).unwrap().id, rule, "{url}");
        }
        assert_eq!(WebhookRules::default().of("https://bot.example.com/"), None);
    }

    #[test]
    fn a_setting_that_does_not_try_again_after_5xx_is_found() {
        let rules = rules();

        for (url, without) in [
            ("https://bot.example.com/webhooks/whatsapp", &[][..]),
            ("https://bot.example.com/webhooks/whatsapp/status", &["never"]),
            ("https://bot.example.com/other", &["once"]),
            ("https://other.example.com/", &["none"]),
        ] {
            let found = rules.without_retries(rules.of(url).unwrap());
            assert_eq!(found.iter().map(|setting| setting.id.as_str()).collect::<Vec<_>>(), without, "{url}");
        }
    }
}
