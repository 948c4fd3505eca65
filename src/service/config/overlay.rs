//! Merging: a key of the file or the environment replaces the default of the same name and type; any other is an error.

use std::path::Path;

use channel::durations::{self, Renamed};
use toml::{Table, Value};

use super::keys::Keys;
use super::{DEFAULTS, Environment};

/// The environment's own names for keys.
const NAMED: [(&str, &str); 16] = [
    ("DATABASE_URL", "database.url"),
    ("TWILIO_ACCOUNT_SID", "twilio.account_sid"),
    ("TWILIO_AUTH_TOKEN", "twilio.auth_token"),
    ("TWILIO_API_KEY", "twilio.api_key"),
    ("TWILIO_API_SECRET", "twilio.api_secret"),
    ("TWILIO_WEBHOOK_KEYS", "twilio.webhook_keys"),
    ("TWILIO_WHATSAPP_NUMBER", "twilio.whatsapp_number"),
    ("TWILIO_WEBHOOK_PUBLIC_URL", "twilio.webhook_public_url"),
    ("TWILIO_WEBHOOK_SKIP_SIGNATURE_VALIDATION", "twilio.webhook_skip_signature_validation"),
    ("TWILIO_API_BASE_URL", "twilio.api_base_url"),
    ("OPENCLAW_BASE_URL", "openclaw.base_url"),
    ("OPENCLAW_TOKEN", "openclaw.token"),
    ("CLOUDYBOT_API_TOKEN", "server.api_token"),
    ("CLOUDYBOT_ADMIN_TOKEN", "server.admin_token"),
    ("CLOUDYBOT_SECRET_KEY", "server.secret_key"),
    ("RUST_LOG", "log.filter"),
];

/// How any other key is spelled in the environment.
const PREFIX: &str = "CLOUDYBOT__";

/// The merged keys; `None`, or with errors, when something is wrong.
pub(super) fn merge(file: Option<&Path>, env: &[(String, String)], errors: &mut Vec<String>) -> Option<Keys> {
    let defaults: Table = DEFAULTS.parse().expect("the compiled-in config.toml is valid; a test reads it");
    let mut keys = defaults.clone();
    if let Some(path) = file {
        match read(path) {
            Ok(overlay) => {
                let name = path.display().to_string();
                Source { name: &name, defaults: &defaults, errors }.overlay(&mut keys, overlay, "");
            }
            Err(error) => errors.push(error),
        }
    }
    for (name, text) in env.iter().filter(|(_, text)| !text.is_empty()) {
        let named = NAMED.iter().find(|(known, _)| known == name).map(|(_, key)| (*key).to_owned());
        let key =
            named.or_else(|| name.strip_prefix(PREFIX).map(|rest| rest.to_lowercase().replace("__", ".")));
        if let Some(key) = key {
            Source { name, defaults: &defaults, errors }.set(&mut keys, &key, text);
        }
    }
    match Keys::deserialize_from(keys) {
        Ok(keys) => Some(keys),
        Err(error) => {
            errors.push(error);
            None
        }
    }
}

impl Keys {
    fn deserialize_from(table: Table) -> Result<Self, String> {
        fn read<T: serde::de::DeserializeOwned>(table: Table) -> Result<T, toml::de::Error> {
            table.try_into()
        }
        read(table).map_err(|error| error.to_string().replace('\n', " ").trim().to_owned())
    }
}

/// `CLOUDYBOT_ENV`.
pub(super) fn environment(env: &[(String, String)], errors: &mut Vec<String>) -> Environment {
    let given = env.iter().find(|(name, _)| name == "CLOUDYBOT_ENV").map_or("", |(_, value)| value.as_str());
    match given {
        "" | "development" => Environment::Development,
        "production" => Environment::Production,
        other => {
            errors.push(format!("CLOUDYBOT_ENV is {other:?}; it must be \"development\" or \"production\""));
            Environment::Production
        }
    }
}

fn read(path: &Path) -> Result<Table, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    text.parse().map_err(|error: toml::de::Error| {
        // The line itself is not shown, since it may hold a secret.
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        format!("{}, line {line}: {}", path.display(), error.message())
    })
}

/// A file, or a variable of the environment.
struct Source<'a> {
    name: &'a str,
    defaults: &'a Table,
    errors: &'a mut Vec<String>,
}

impl Source<'_> {
    /// The keys of a file, of which `at` is the section.
    fn overlay(&mut self, into: &mut Table, overlay: Table, at: &str) {
        let source = self.name;
        for (name, value) in overlay {
            let name = plan_name(into, at, name, value.is_table());
            let key = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            match (into.get_mut(&name), value) {
                (None, value) => self.errors.push(match self.renamed(&key, &value) {
                    Some(now) => format!("{source}: {key} = {value} is now {now}"),
                    None => unknown(source, &key, into),
                }),
                (Some(Value::Table(inner)), Value::Table(value)) => self.overlay(inner, value, &key),
                (Some(old), value) => match self.check(&key, old, &value) {
                    Ok(()) => *old = value,
                    Err(why) => {
                        // The value of a text key may be a secret, so it is not shown.
                        let shown = if old.is_str() && !is_duration(old) {
                            String::new()
                        } else {
                            format!(" {value}")
                        };
                        self.errors.push(format!("{source}: {key} is {}{shown}; {why}", article(&value)));
                    }
                },
            }
        }
    }

    /// A key by its dotted name, from the text of a variable.
    fn set(&mut self, keys: &mut Table, key: &str, text: &str) {
        let source = self.name;
        let (path, name) = key.rsplit_once('.').unwrap_or(("", key));
        let mut table = keys;
        for part in path.split('.').filter(|part| !part.is_empty()) {
            match table.get(part) {
                Some(Value::Table(_)) => {}
                _ => return self.errors.push(unknown(source, key, table)),
            }
            let Some(Value::Table(inner)) = table.get_mut(part) else { return };
            table = inner;
        }
        let Some(old) = table.get_mut(name) else {
            let value = from_toml(text).unwrap_or_else(|| text.into());
            return self.errors.push(match self.renamed(key, &value) {
                Some(now) => {
                    let name = &source[..source.len() + now.name.len() - key.len()];
                    format!("{source}={text} is now {}", Renamed { name, ..now }.as_variable())
                }
                None => unknown(source, key, table),
            });
        };
        let value = match old {
            Value::String(_) => Some(text.into()),
            Value::Integer(_) => text.trim().parse().ok().map(Value::Integer),
            Value::Float(_) => text.trim().parse().ok().map(Value::Float),
            Value::Boolean(_) => boolean(text).map(Value::Boolean),
            // Spelled as in the file: ["one", "two"].
            Value::Array(_) => from_toml(text),
            Value::Table(_) | Value::Datetime(_) => None,
        };
        let checked = match &value {
            Some(value) => self.check(key, old, value),
            None => Err(format!("it must be {}", article(old))),
        };
        match (value, checked) {
            (Some(value), Ok(())) => *old = value,
            (_, checked) => {
                let why = checked.err().unwrap_or_default();
                self.errors.push(format!("{source} is {text:?}; {why}"));
            }
        }
    }

    /// Whether a value has the type of the key's default. The error says what the value must be.
    fn check(&self, key: &str, old: &Value, value: &Value) -> Result<(), String> {
        let default = self.default_of(key).unwrap_or(old);
        match (default, value) {
            (Value::String(_), value) if is_duration(default) => durations::check(value),
            (Value::Array(_), Value::Array(values)) if is_duration(default) => {
                values.iter().try_for_each(durations::check)
            }
            (default, value) if default.same_type(value) => Ok(()),
            (default, _) => Err(format!("it must be {}", article(default))),
        }
    }

    /// The present spelling of a key that had its unit in its name.
    fn renamed<'k>(&self, key: &'k str, value: &Value) -> Option<Renamed<'k>> {
        let now = durations::renamed(key, value)?;
        self.default_of(now.name).is_some_and(is_duration).then_some(now)
    }

    fn default_of(&self, key: &str) -> Option<&Value> {
        let (section, name) = key.rsplit_once('.')?;
        section.split('.').try_fold(self.defaults, |table, part| table.get(part)?.as_table())?.get(name)
    }
}

/// The keys below `plans`: an operator may add plans, spells them in any case, and may write `whatsappSends` as the product does. Any other
/// key keeps its name.
fn plan_name(into: &mut Table, at: &str, name: String, is_table: bool) -> String {
    if at == "plans" && is_table {
        let name = name.to_lowercase();
        into.entry(name.clone()).or_insert_with(|| {
            let new = [("whatsapp_sends", Value::Integer(0)), ("whatsapp", Value::Boolean(true))];
            Value::Table(new.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
        });
        return name;
    }
    if at.starts_with("plans.") && name == "whatsappSends" { "whatsapp_sends".to_owned() } else { name }
}

/// Whether a key is a duration, or a list of them: its default is.
fn is_duration(default: &Value) -> bool {
    match default {
        Value::Array(list) => list.iter().any(is_duration),
        other => durations::check(other).is_ok(),
    }
}

/// A value as it is spelled in a file.
fn from_toml(text: &str) -> Option<Value> {
    format!("value = {text}").parse::<Table>().ok()?.remove("value")
}

fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" | "" => Some(false),
        _ => None,
    }
}

fn article(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Table(_) => "a section",
        Value::Array(_) => "a list",
        Value::Datetime(_) => "a date",
    }
}

/// Names the key and the ones that would have been known in its place.
fn unknown(source: &str, key: &str, known: &Table) -> String {
    let known: Vec<&str> = known.keys().map(String::as_str).collect();
    format!("{source}: {key} is not known; known here are {}", known.join(", "))
}
