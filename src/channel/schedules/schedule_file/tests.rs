use std::time::Duration;

use whatsapp_text::text::Format;

use super::*;
use crate::schedules::definition::{Misfire, Overlap};

const SMALL: &str =
    "cron = \"30 8 * * 1-5\"\n[audience]\neveryone = true\n[content]\nmessage = \"Hi {{user.id}}\"\n";

/// A schedule whose template has this variable.
fn with_variable(variable: &str) -> String {
    let sid = format!("HX{}", "a".repeat(32));
    format!("{SMALL}[template]\ncontent_sid = \"{sid}\"\n[template.variables]\n{variable}\n")
}

fn parsed(name: &str, text: &str) -> Result<Schedule, Vec<DefinitionError>> {
    Schedule::parse(name, text, Path::new(""))
}

/// All that is wrong, a line each.
fn reason(text: &str) -> String {
    let told: Vec<String> = parsed("test", text).unwrap_err().iter().map(ToString::to_string).collect();
    told.join("\n")
}

#[test]
fn a_small_file_has_the_usual_rest() {
    let schedule = parsed("weekly", SMALL).unwrap();

    let definition = &schedule.definition;
    assert_eq!((definition.timezone.as_str(), definition.enabled), ("UTC", true));
    assert_eq!((definition.misfire, definition.misfire_grace), (Misfire::Once, Duration::from_secs(15 * 60)));
    assert_eq!((definition.overlap, definition.expires), (Overlap::Skip, Duration::from_secs(2 * 3600)));
    assert_eq!(schedule.hash.len(), 64);
}

#[test]
fn the_hash_is_of_the_meaning_and_not_of_the_spelling() {
    let one = parsed("x", SMALL).unwrap().hash;

    assert_eq!(parsed("x", &format!("# note\ntimezone = \"UTC\"\n{SMALL}")).unwrap().hash, one);
    assert_eq!(parsed("x", &format!("expires = \"120m\"\n{SMALL}")).unwrap().hash, one);
    assert_ne!(parsed("x", &SMALL.replace("30 8", "31 8")).unwrap().hash, one);
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
        let schedule = parsed("x", &text).unwrap();

        assert_eq!(schedule.definition.content.format(Format::Markdown), format, "{text}");
    }
}

#[test]
fn no_mistake_hides_another() {
    let text = "cron = \"0 25 * * 1\"\ntimezone = \"Europe/Berln\"\nplan = \"pro\"\ntext = \"Your week\"\n";
    let told: Vec<String> = parsed("weekly", text).unwrap_err().iter().map(ToString::to_string).collect();
    for (line, part) in [(1, "cron"), (2, "Europe/Berln"), (3, "`plan`"), (4, "`text`")] {
        let line = format!("line {line}: ");
        assert!(told.iter().any(|one| one.contains(&line) && one.contains(part)), "{part}: {told:?}");
    }
    assert_eq!(told.len(), 4, "{told:?}");
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, told) in [
        (
            "cron = \"* * * * *\"\nzone = \"UTC\"\n".to_owned(),
            "schedule test, line 2: unknown field `zone`; is `timezone` meant?",
        ),
        (
            format!("plan = \"pro\"\n{SMALL}"),
            "line 1: unknown field `plan`; is `audience = { plan = … }` meant?",
        ),
        (SMALL.replace("cron = \"30 8 * * 1-5\"\n", ""), "it must have one of cron ="),
        (
            format!("# daily\n{}", SMALL.replace("30 8", "90 8")),
            "line 2: cron \"90 8 * * 1-5\", character 1 (minute): 90: minutes are 0 to 59",
        ),
        (format!("enabled = true\ntimezone = \"Mars\"\n{SMALL}"), "line 2: unknown time zone \"Mars\""),
        (
            SMALL.replace("everyone = true", "everyone = true\nuser = \"a\""),
            "exactly one of user, users, plan, everyone",
        ),
        (SMALL.replace("everyone = true", "everyone = false"), "exactly one of user, users, plan, everyone"),
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
        (format!("jitter = \"-1s\"\n{SMALL}"), "line 1: jitter is \"-1s\"; expected number at 0: it must be"),
        (format!("expires = \"90\"\n{SMALL}"), "line 1: expires is \"90\"; time unit needed"),
        (format!("expires = \"90 fortnights\"\n{SMALL}"), "unknown time unit \"fortnights\""),
        (format!("expires = \"200y\"\n{SMALL}"), "expires is \"200y\"; it must be at most 100 years"),
        (format!("expires = \"99999999999999y\"\n{SMALL}"), "number is too large"),
        (format!("expires = \"0s\"\n{SMALL}"), "line 1: expires must be longer than \"0s\""),
        (format!("jitter = \"60s\"\nexpires = \"1m\"\n{SMALL}"), "line 1: jitter = \"1m\" spreads beyond"),
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
        (with_variable("\"1\" = \"a\\rb\""), "line 8: template.variables.1: it has a line break (U+000D)"),
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

    let Folder { schedules, errors, ignored } = read_folder(folder.path()).unwrap();

    assert_eq!(ignored, ["notes.txt"]);

    assert_eq!(schedules.iter().map(|schedule| schedule.name.as_str()).collect::<Vec<_>>(), ["good"]);
    assert_eq!(errors.iter().map(|error| error.name.as_str()).collect::<Vec<_>>(), ["bad"]);
    assert!(read_folder(&folder.path().join("nowhere")).unwrap().schedules.is_empty());
}

#[test]
fn hidden_files_and_folders_are_ignored_and_told_as_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("good.toml"), SMALL).unwrap();
    // An editor's lock, a copying program's attributes, a folder, other formats.
    std::os::unix::fs::symlink("nobody@nowhere.1", path(".#good.toml")).unwrap();
    std::fs::write(path("._good.toml"), [0, 5, 22, 7]).unwrap();
    std::fs::write(path(".toml"), "cron = 5").unwrap();
    std::fs::create_dir(path("old.toml")).unwrap();
    std::fs::write(path("old.toml").join("x.toml"), SMALL).unwrap();
    std::fs::write(path("morning.yaml"), "cron: 5").unwrap();
    std::fs::write(path("upper.TOML"), SMALL).unwrap();
    std::os::unix::fs::symlink("nowhere", path("lost.toml")).unwrap();

    let Folder { schedules, errors, ignored } = read_folder(folder.path()).unwrap();

    assert_eq!(schedules.iter().map(|schedule| schedule.name.as_str()).collect::<Vec<_>>(), ["good"]);
    assert_eq!(errors.iter().map(|error| error.name.as_str()).collect::<Vec<_>>(), ["lost"]);
    assert_eq!(ignored, [".#good.toml", "._good.toml", ".toml", "morning.yaml", "old.toml", "upper.TOML"]);
}

#[test]
fn all_that_is_wrong_with_a_file_is_told_at_once() {
    let told = reason(
        "cron = \"61 * * * *\"\ntimezone = \"Mars\"\nzone = 5\njitter = 3\nmisfire = \"never\"\n\
         [audience]\neveryone = \"yes\"\nteam = \"blue\"\nuser = \"a\"\n[content]\nmessage = \"{{x}}\"\n[template]\ncontent_sid = \"HX1\"\n",
    );
    let lines: Vec<&str> = told.lines().map(|line| line.split(": ").next().unwrap()).collect();

    let expected: Vec<String> =
        [1, 2, 3, 4, 5, 7, 8, 11, 13].map(|line| format!("schedule test, line {line}")).into();
    assert_eq!(lines, expected, "{told}");
}

#[test]
fn a_file_that_is_no_toml_is_told_of_once() {
    assert_eq!(reason("cron = \"* * * * *\nat = 5").lines().count(), 1);
}

#[test]
fn exactly_one_of_cron_at_and_every_says_when() {
    let rest = SMALL.lines().skip(1).collect::<Vec<_>>().join("\n");
    for right in [
        "at = \"2026-12-24T18:00\"",
        "at = 2026-12-24T18:00:00",
        "at = 2026-12-24 18:00:00",
        "every = \"90m\"",
        "every = \"90m\"\nanchor = \"2026-11-28T06:00\"\nuntil = 2027-01-31",
        "cron = \"@daily\"\nuntil = \"2027-01-31T12:00\"",
    ] {
        assert!(parsed("x", &format!("{right}\n{rest}")).is_ok(), "{right}");
    }
    for (wrong, told) in [
        ("cron = \"0 0 30 2 *\"", "line 1: cron never falls due: no day of any year fits"),
        ("cron = \"@daily\"\nevery = \"90m\"", "line 1: it must have exactly one of cron, at, every"),
        ("every = \"90m\"\nat = \"2026-12-24T18:00\"", "line 2: it must have exactly one of"),
        ("at = \"2026-12-24\"", "line 1: \"2026-12-24\" is no date and time like \"2026-12-24T18:00\""),
        ("at = 5", "line 1: it must be a date and time like"),
        ("every = \"30s\"", "line 1: every must be full seconds, and at least \"1m\""),
        ("every = 90", "line 1: every is 90; it must be a duration like"),
        ("every_minutes = 90", "every_minutes = 90 is now every = \"90m\""),
        ("cron = \"@daily\"\nanchor = \"2026-12-24T18:00\"", "line 2: anchor is where the steps of `every`"),
        ("cron = \"@daily\"\nuntil = \"soon\"", "line 2: \"soon\" is neither a date like"),
    ] {
        let told_now = reason(&format!("{wrong}\n{rest}"));
        assert!(told_now.contains(told), "{told}: {told_now}");
    }
}

#[test]
fn a_schedule_goes_by_one_zone_or_each_users_own() {
    let with = |lines: &str| format!("{lines}\n{SMALL}");

    let schedule = parsed("x", &with("timezone = \"user\"\ndefault_timezone = \"Europe/Berlin\"")).unwrap();
    assert!(matches!(schedule.zone, ZoneChoice::Users { default } if default.to_string() == "Europe/Berlin"));
    for (lines, told) in [
        ("timezone = \"user\"\ndefault_timezone = \"Mars\"", "line 2: unknown time zone \"Mars\""),
        ("default_timezone = \"Europe/Berlin\"", "line 1: default_timezone is for users who have no zone"),
    ] {
        assert!(reason(&with(lines)).contains(told), "{told}: {}", reason(&with(lines)));
    }
}

#[test]
fn an_audience_may_be_a_list_or_leave_some_out() {
    let with = |audience: &str| SMALL.replace("everyone = true", audience);

    for right in [
        "users = [\"a\", \"b\"]",
        "everyone = true\nexcept_users = [\"a\"]",
        "plan = \"pro\"\nexcept_users = [\"a\"]",
    ] {
        assert!(parsed("x", &with(right)).is_ok(), "{right}");
    }
    for (wrong, told) in [
        ("users = []", "line 3: [audience] users names nobody"),
        ("users = [\"a\", \"b\", \"a\"]", "line 3: [audience] \"a\" is there twice"),
        (
            "users = [\" \"]",
            "line 3: [audience] \" \" is no user's id: an id has 1 to 200 characters, and no",
        ),
        ("user = \"a\\u0007\"", "line 3: [audience] \"a\\u{7}\" is no user's id"),
        ("everyone = true\nexcept_users = [\"a\", \"\"]", "line 4: [audience] \"\" is no user's id"),
        (
            "users = [\"a\"]\nexcept_users = [\"a\"]",
            "line 4: [audience] except_users goes with plan or everyone",
        ),
        ("users = [\"a\"]\nuser = \"b\"", "line 2: [audience] must have exactly one of user, users, plan"),
    ] {
        assert!(reason(&with(wrong)).contains(told), "{told}: {}", reason(&with(wrong)));
    }
}

#[test]
fn excepted_days_are_the_files_and_its_calendars_and_an_edit_of_a_calendar_is_one_of_the_schedule() {
    let folder = tempfile::tempdir().unwrap();
    let calendar = |day: &str| {
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:{day}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        );
        std::fs::write(folder.path().join("holidays.ics"), text).unwrap();
    };
    let text = format!("except = [\"2026-12-31\", \"holidays.ics\"]\n{SMALL}");
    let read = || Schedule::parse("x", &text, folder.path());

    calendar("20261225");
    let one = read().unwrap();
    calendar("20261226");
    let other = read().unwrap();
    std::fs::write(folder.path().join("x.toml"), &text).unwrap();
    std::fs::write(folder.path().join("other.ics"), "").unwrap();

    let days = ["2026-12-25", "2026-12-26", "2026-12-31"].map(|day| day.parse().unwrap());
    assert_eq!(days.map(|day| one.timing.except.contains(day)), [true, false, true]);
    assert_eq!(days.map(|day| other.timing.except.contains(day)), [false, true, true]);
    assert_ne!(one.hash, other.hash);
    assert_eq!(
        read_folder(folder.path()).unwrap().ignored,
        ["other.ics"],
        "what a schedule names is not ignored"
    );
    std::fs::write(
        folder.path().join("holidays.ics"),
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261225T090000Z\nEND:VEVENT\nEND:VCALENDAR\n",
    )
    .unwrap();
    let told = read().unwrap_err()[0].to_string();
    assert!(told.starts_with("schedule x, line 1: except: holidays.ics, line 3: "), "{told}");
    for (except, told) in [
        ("[\"../holidays.ics\"]", "must be a file beside the schedule's"),
        ("[\"nowhere.ics\"]", "nowhere.ics cannot be read: "),
        ("[\"2026-13-01\"]", "2026-13-01"),
        ("\"2026-12-01\"", "invalid type"),
    ] {
        let wrong = Schedule::parse("x", &format!("except = {except}\n{SMALL}"), folder.path()).unwrap_err();
        assert!(wrong[0].to_string().contains(told), "{told}: {}", wrong[0]);
    }
}
