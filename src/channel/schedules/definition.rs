//! A schedule's file, `schedules/NAME.toml`. It is read strictly: a typo is an error with its line, never a schedule that does something else.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toml::Table;
use toml::de::DeTable;
use whatsapp_text::text::{Format, WhatsappText};

use super::crontab::Cron;
use super::placeholders;
use super::zones::UnknownZone;
use super::zones::tz::Tz;
use crate::durations;
use crate::outbound::{planning, template};
use crate::plans::Plans;

/// A schedule as its file has it. This is also how the database keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// A crontab expression of five or six fields, or a macro.
    pub cron: String,
    /// An IANA zone.
    #[serde(default = "utc")]
    pub timezone: String,
    /// Whether it fires at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What happens with slots that fell due while no process ran.
    #[serde(default)]
    pub misfire: Misfire,
    /// With `misfire = "once"`: how late the last of them may still fire.
    #[serde(default = "fifteen_minutes", with = "humantime_serde")]
    pub misfire_grace: Duration,
    /// What happens with a slot that falls due while the one before it still runs.
    #[serde(default)]
    pub overlap: Overlap,
    /// The messages of a slot are spread over this time.
    #[serde(default, with = "humantime_serde")]
    pub jitter: Duration,
    /// What has not been sent this long after its slot is not sent any more.
    #[serde(default = "two_hours", with = "humantime_serde")]
    pub expires: Duration,
    /// Who is written to.
    pub audience: Audience,
    /// What is said.
    pub content: Content,
    /// What is sent instead while WhatsApp takes no free text.
    pub template: Option<Template>,
}

/// What happens with slots that fell due while no process ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Misfire {
    /// The last one fires, if it is not later than the grace.
    #[default]
    Once,
    /// All of them fire, up to a bound.
    All,
    /// None fires.
    Skip,
}

/// What happens with a slot that falls due while the one before it still runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// It waits.
    Wait,
}

/// Who is written to: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Audience {
    /// One user.
    pub user: Option<String>,
    /// Everybody on a plan; who has no phone is blocked with that reason, and has the words in the dashboard.
    pub plan: Option<String>,
    /// Everybody who has a phone.
    #[serde(default)]
    pub everyone: bool,
}

/// What is said: a message or a prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// These words.
    pub message: Option<String>,
    /// What the agent says to this.
    pub prompt: Option<String>,
    /// Whose signs it has on its way to WhatsApp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
}

impl Content {
    /// Whose signs the words have: a message's are WhatsApp's, and what the agent says has the `agents`, unless the file says otherwise.
    #[must_use]
    pub fn format(&self, agents: Format) -> Format {
        self.format.unwrap_or(if self.prompt.is_some() { agents } else { Format::Whatsapp })
    }
}

/// An approved template.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// `HX` and 32 hex digits.
    pub content_sid: String,
    /// Its variables.
    #[serde(default)]
    pub variables: std::collections::BTreeMap<String, String>,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn yes() -> bool {
    true
}

fn fifteen_minutes() -> Duration {
    Duration::from_secs(15 * 60)
}

fn two_hours() -> Duration {
    Duration::from_secs(2 * 3600)
}

/// The keys that are durations.
const DURATIONS: [&str; 3] = ["misfire_grace", "jitter", "expires"];

/// A definition that makes sense.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The file's stem.
    pub name: String,
    /// As it stands in the file.
    pub definition: Definition,
    /// When it falls due …
    pub cron: Cron,
    /// … on whose clocks.
    pub zone: Tz,
    /// Of everything in the file that has a meaning: two processes with one hash do the same.
    pub hash: String,
    /// Where the file names its audience's plan.
    plan_line: Option<usize>,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionError {
    /// The file's stem.
    pub name: String,
    /// Where; `None` when the file's name is wrong, or something that is not there.
    pub line: Option<usize>,
    /// What.
    pub reason: String,
}

impl std::error::Error for DefinitionError {}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schedule {}", self.name)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// What is wrong with a definition, and the key that it is about.
struct Wrong {
    key: &'static [&'static str],
    reason: String,
}

impl Wrong {
    fn new(key: &'static [&'static str], reason: impl Into<String>) -> Self {
        Self { key, reason: reason.into() }
    }
}

impl Schedule {
    /// Reads a file's text.
    pub fn parse(name: &str, text: &str) -> Result<Self, DefinitionError> {
        let error = |line, reason| DefinitionError { name: name.to_owned(), line, reason };
        check_durations(text).map_err(|(key, reason)| error(line_of(text, &[&key]), reason))?;
        let definition: Definition = toml::from_str(text).map_err(|wrong| {
            let line = wrong.span().map(|span| line_at(text, span.start));
            error(line, wrong.message().to_owned())
        })?;
        let mut schedule =
            Self::meant(name, definition).map_err(|wrong| error(line_of(text, wrong.key), wrong.reason))?;
        schedule.plan_line = line_of(text, &["audience", "plan"]);
        Ok(schedule)
    }

    /// A definition that was kept in the database.
    pub fn of(name: &str, definition: Definition) -> Result<Self, DefinitionError> {
        Self::meant(name, definition).map_err(|wrong| DefinitionError {
            name: name.to_owned(),
            line: None,
            reason: wrong.reason,
        })
    }

    fn meant(name: &str, definition: Definition) -> Result<Self, Wrong> {
        let valid = !name.is_empty()
            && name.len() <= 100
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !valid {
            return Err(Wrong::new(&[], "its file's name must be of letters, digits, _ and -"));
        }
        let cron = Cron::parse(&definition.cron).map_err(|wrong| Wrong::new(&["cron"], wrong.to_string()))?;
        let zone: Tz = definition
            .timezone
            .parse()
            .map_err(|unknown: UnknownZone| Wrong::new(&["timezone"], unknown.to_string()))?;
        check(&definition)?;
        let canonical = serde_json::to_vec(&definition).unwrap_or_default();
        let hash: String = Sha256::digest(canonical).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { name: name.to_owned(), definition, cron, zone, hash, plan_line: None })
    }

    /// Whether its audience's plan is one that the operator has.
    pub fn check_plan(&self, plans: &Plans) -> Result<(), DefinitionError> {
        let Some(plan) = self.definition.audience.plan.as_deref().filter(|plan| plans.find(plan).is_none())
        else {
            return Ok(());
        };
        let known: Vec<&str> = plans.all().iter().map(|plan| plan.name.as_str()).collect();
        let reason = format!("[audience] there is no plan {plan:?}; the plans are {}", known.join(", "));
        Err(DefinitionError { name: self.name.clone(), line: self.plan_line, reason })
    }
}

/// The line, from 1, that this byte is in.
fn line_at(text: &str, byte: usize) -> usize {
    text.as_bytes()[..byte.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Where a key stands, or the innermost of the tables that it should be in.
fn line_of(text: &str, key: &[&str]) -> Option<usize> {
    let file = DeTable::parse(text).ok()?;
    let (mut table, mut line) = (Some(file.get_ref()), None);
    for name in key {
        let Some((name, value)) = table?.iter().find(|(known, _)| known.get_ref() == name) else { break };
        line = Some(line_at(text, name.span().start));
        table = value.get_ref().as_table();
        if table.is_none() {
            break;
        }
    }
    line
}

/// The first key that should be a duration and is none, and why. The caller reports files that are not TOML.
fn check_durations(text: &str) -> Result<(), (String, String)> {
    let file: Table = text.parse().unwrap_or_default();
    for (key, value) in file {
        let renamed = durations::renamed(&key, &value).filter(|now| DURATIONS.contains(&now.name));
        let wrong = match renamed {
            Some(now) => Some(format!("{key} = {value} is now {now}")),
            None if DURATIONS.contains(&key.as_str()) => {
                durations::check(&value).err().map(|why| format!("{key} is {value}; {why}"))
            }
            None => None,
        };
        if let Some(reason) = wrong {
            return Err((key, reason));
        }
    }
    Ok(())
}

fn check(definition: &Definition) -> Result<(), Wrong> {
    let audience = &definition.audience;
    let named = usize::from(audience.user.is_some())
        + usize::from(audience.plan.is_some())
        + usize::from(audience.everyone);
    if named != 1 {
        let reason = "[audience] must have exactly one of user, plan, everyone = true";
        return Err(Wrong::new(&["audience"], reason));
    }
    let content = &definition.content;
    let (key, text): (&'static [&'static str], _) = match (&content.message, &content.prompt) {
        (Some(text), None) => (&["content", "message"], text),
        (None, Some(text)) => (&["content", "prompt"], text),
        _ => return Err(Wrong::new(&["content"], "[content] must have exactly one of message, prompt")),
    };
    if text.trim().is_empty() || text.contains('\0') {
        return Err(Wrong::new(key, "[content] is blank, or holds a NUL"));
    }
    if content.prompt.is_none() && shows_nothing(content, text) {
        return Err(Wrong::new(key, "[content]: nothing of the message can be seen in WhatsApp"));
    }
    placeholders::check(text).map_err(|wrong| Wrong::new(key, format!("[content]: {wrong}")))?;
    let Definition { jitter, expires, .. } = definition;
    if expires.is_zero() {
        return Err(Wrong::new(&["expires"], "expires must be longer than \"0s\""));
    }
    if jitter >= expires {
        let (jitter, expires) = (humantime::format_duration(*jitter), humantime::format_duration(*expires));
        let reason = format!(
            "jitter = \"{jitter}\" spreads beyond expires = \"{expires}\", when nothing is sent any more"
        );
        return Err(Wrong::new(&["jitter"], reason));
    }
    definition.template.as_ref().map_or(Ok(()), check_template)
}

fn shows_nothing(content: &Content, message: &str) -> bool {
    planning::is_blank(WhatsappText::of(message, content.format(Format::default())).as_str())
}

fn check_template(template: &Template) -> Result<(), Wrong> {
    let sid = &template.content_sid;
    if let Err(remedy) = template::check_content_sid(sid) {
        let reason = format!("template.content_sid is {sid:?}; {remedy}");
        return Err(Wrong::new(&["template", "content_sid"], reason));
    }
    let wrong = |reason| Wrong::new(&["template", "variables"], reason);
    let variables = template.variables.iter().map(|(name, value)| (name.as_str(), Some(value.as_str())));
    template::check_variables(variables).map_err(|told| wrong(told.to_string()))?;
    for (name, value) in &template.variables {
        placeholders::check(value).map_err(|told| wrong(format!("template.variables.{name}: {told}")))?;
    }
    Ok(())
}

/// Every file of a folder: what can be read, and what is wrong with the rest. A folder that is not there has no schedules.
pub fn read_folder(folder: &Path) -> std::io::Result<(Vec<Schedule>, Vec<DefinitionError>)> {
    let (mut schedules, mut errors) = (Vec::new(), Vec::new());
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((schedules, errors)),
        Err(error) => return Err(error),
    };
    // Of a folder that can be read in part, the rest would seem to be gone.
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
    {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        match std::fs::read_to_string(&path) {
            Ok(text) => match Schedule::parse(&name, &text) {
                Ok(schedule) => schedules.push(schedule),
                Err(error) => errors.push(error),
            },
            Err(error) => errors.push(DefinitionError {
                name,
                line: None,
                reason: format!("it cannot be read: {error}"),
            }),
        }
    }
    Ok((schedules, errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str =
        "cron = \"30 8 * * 1-5\"\n[audience]\neveryone = true\n[content]\nmessage = \"Hi {{user.id}}\"\n";

    /// A schedule whose template has this variable.
    fn with_variable(variable: &str) -> String {
        let sid = format!("HX{}", "a".repeat(32));
        format!("{SMALL}[template]\ncontent_sid = \"{sid}\"\n[template.variables]\n{variable}\n")
    }

    fn reason(text: &str) -> String {
        Schedule::parse("test", text).unwrap_err().to_string()
    }

    #[test]
    fn a_small_file_has_the_usual_rest() {
        let schedule = Schedule::parse("weekly", SMALL).unwrap();

        let definition = &schedule.definition;
        assert_eq!((definition.timezone.as_str(), definition.enabled), ("UTC", true));
        assert_eq!((definition.misfire, definition.misfire_grace), (Misfire::Once, fifteen_minutes()));
        assert_eq!((definition.overlap, definition.expires), (Overlap::Skip, two_hours()));
        assert_eq!(schedule.hash.len(), 64);
    }

    #[test]
    fn the_hash_is_of_the_meaning_and_not_of_the_spelling() {
        let one = Schedule::parse("x", SMALL).unwrap().hash;

        assert_eq!(Schedule::parse("x", &format!("# note\ntimezone = \"UTC\"\n{SMALL}")).unwrap().hash, one);
        assert_eq!(Schedule::parse("x", &format!("expires = \"120m\"\n{SMALL}")).unwrap().hash, one);
        assert_ne!(Schedule::parse("x", &SMALL.replace("30 8", "31 8")).unwrap().hash, one);
    }

    #[test]
    fn a_message_is_whatsapps_and_an_answer_the_agents_unless_the_file_says_otherwise() {
        let prompt = SMALL.replace("message", "prompt");
        for (text, format) in [
            (SMALL.to_owned(), Format::Whatsapp),
            (format!("{SMALL}format = \"markdown\""), Format::Markdown),
            (format!("{SMALL}format = \"auto\""), Format::Auto),
            (prompt.clone(), Format::Markdown),
            (format!("{prompt}format = \"whatsapp\""), Format::Whatsapp),
        ] {
            let schedule = Schedule::parse("x", &text).unwrap();

            assert_eq!(schedule.definition.content.format(Format::Markdown), format, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, told) in [
            (
                "cron = \"* * * * *\"\nzone = \"UTC\"\n".to_owned(),
                "schedule test, line 2: unknown field `zone`",
            ),
            (SMALL.replace("cron = \"30 8 * * 1-5\"\n", ""), "missing field `cron`"),
            (
                format!("# daily\n{}", SMALL.replace("30 8", "90 8")),
                "line 2: cron \"90 8 * * 1-5\", character 1 (minute): 90: minutes are 0 to 59",
            ),
            (format!("enabled = true\ntimezone = \"Mars\"\n{SMALL}"), "line 2: unknown time zone \"Mars\""),
            (
                SMALL.replace("everyone = true", "everyone = true\nuser = \"a\""),
                "exactly one of user, plan, everyone",
            ),
            (SMALL.replace("everyone = true", "everyone = false"), "exactly one of user, plan, everyone"),
            (
                SMALL.replace("message = \"Hi {{user.id}}\"", ""),
                "line 4: [content] must have exactly one of message, prompt",
            ),
            (SMALL.replace("user.id", "user.nick"), "line 5: [content]: {{user.nick}} is unknown"),
            (
                SMALL.replace("user.id", "user.name"),
                "line 5: [content]: {{user.name}} has no default: write {{user.name|…}}",
            ),
            (SMALL.replace("Hi {{user.id}}", "  "), "is blank"),
            (
                format!("{SMALL}format = \"html\""),
                "line 6: unknown variant `html`, expected one of `auto`, `markdown`, `whatsapp`",
            ),
            (format!("misfire = \"never\"\n{SMALL}"), "line 1: unknown variant `never`"),
            (format!("jitter = -1\n{SMALL}"), "line 1: jitter is -1; it must be a duration like"),
            (
                format!("jitter = \"-1s\"\n{SMALL}"),
                "line 1: jitter is \"-1s\"; expected number at 0: it must be",
            ),
            (format!("expires = \"90\"\n{SMALL}"), "line 1: expires is \"90\"; time unit needed"),
            (format!("expires = \"90 fortnights\"\n{SMALL}"), "unknown time unit \"fortnights\""),
            (format!("expires = \"200y\"\n{SMALL}"), "expires is \"200y\"; it must be at most 100 years"),
            (format!("expires = \"99999999999999y\"\n{SMALL}"), "number is too large"),
            (format!("expires = \"0s\"\n{SMALL}"), "line 1: expires must be longer than \"0s\""),
            (
                format!("jitter = \"60s\"\nexpires = \"1m\"\n{SMALL}"),
                "line 1: jitter = \"1m\" spreads beyond",
            ),
            (
                format!("enabled = true\nexpires_minutes = 90\n{SMALL}"),
                "line 2: expires_minutes = 90 is now expires = \"90m\"",
            ),
            (format!("misfire_grace_minutes = 5\n{SMALL}"), "is now misfire_grace = \"5m\""),
            (format!("jitter_seconds = 900\n{SMALL}"), "jitter_seconds = 900 is now jitter = \"900s\""),
            (
                format!("jitter_seconds = -900\n{SMALL}"),
                "jitter_seconds = -900 is now jitter; it must be a duration like",
            ),
            (
                format!("{SMALL}[template]\ncontent_sid = \"HX1\""),
                "line 7: template.content_sid is \"HX1\"; it must be HX and 32 hex digits",
            ),
            (
                with_variable("\"1\" = \"a\\rb\""),
                "line 8: template.variables.1: it has a line break (U+000D)",
            ),
            (with_variable("\"1\" = \"a    b\""), "template.variables.1: it has 4 spaces in a row"),
            (with_variable("\"\" = \"a\""), "line 8: template.variables: the name \"\" can be none"),
            (with_variable("\"1\" = \"{{user.nick}}\""), "template.variables.1: {{user.nick}} is unknown"),
            (
                with_variable("\"1\" = \"{{user.attributes.city}}\""),
                "template.variables.1: {{user.attributes.city}} has no default",
            ),
        ] {
            assert!(reason(&text).contains(told), "{told}: {}", reason(&text));
        }
    }

    #[test]
    fn one_bad_file_never_stops_the_others() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("good.toml"), SMALL).unwrap();
        std::fs::write(folder.path().join("bad.toml"), "cron = 5").unwrap();
        std::fs::write(folder.path().join("notes.txt"), "not a schedule").unwrap();

        let (schedules, errors) = read_folder(folder.path()).unwrap();

        assert_eq!(schedules.iter().map(|schedule| schedule.name.as_str()).collect::<Vec<_>>(), ["good"]);
        assert_eq!(errors.iter().map(|error| error.name.as_str()).collect::<Vec<_>>(), ["bad"]);
        assert!(read_folder(&folder.path().join("nowhere")).unwrap().0.is_empty());
    }
}
