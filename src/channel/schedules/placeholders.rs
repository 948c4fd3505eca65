//! `{{user.id}}` and the like in an author's text.

/// What may stand in a text; each has its name.
#[derive(Clone, Debug, Default)]
pub struct Values<'a> {
    /// `{{user.id}}`
    pub user_id: &'a str,
    /// `{{user.plan}}`
    pub user_plan: &'a str,
    /// `{{slot.date}}`, in the schedule's zone, like 2026-11-23
    pub slot_date: &'a str,
    /// `{{slot.time}}`, in the schedule's zone, like 08:30
    pub slot_time: &'a str,
    /// `{{slot.weekday}}`, in English
    pub slot_weekday: &'a str,
}

const NAMES: [&str; 5] = ["user.id", "user.plan", "slot.date", "slot.time", "slot.weekday"];

/// Puts values in the place of their names. Unknown names were refused when the file was read, and stay as they are.
#[must_use]
pub fn fill(text: &str, values: &Values<'_>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("{{") {
        let Some((name, after)) = from.split_once("}}") else { break };
        filled.push_str(before);
        match value(name.trim(), values) {
            Some(value) => filled.push_str(value),
            None => {
                filled.push_str("{{");
                filled.push_str(name);
                filled.push_str("}}");
            }
        }
        rest = after;
    }
    filled + rest
}

/// The first name in a text that is none, with the known ones.
pub fn check(text: &str) -> Result<(), String> {
    let mut rest = text;
    while let Some((_, from)) = rest.split_once("{{") {
        let Some((name, after)) = from.split_once("}}") else {
            return Err("\"{{\" is never closed by \"}}\"".to_owned());
        };
        if !NAMES.contains(&name.trim()) {
            return Err(format!("{{{{{name}}}}} is unknown; the names are {}", NAMES.join(", ")));
        }
        rest = after;
    }
    Ok(())
}

fn value<'a>(name: &str, values: &Values<'a>) -> Option<&'a str> {
    match name {
        "user.id" => Some(values.user_id),
        "user.plan" => Some(values.user_plan),
        "slot.date" => Some(values.slot_date),
        "slot.time" => Some(values.slot_time),
        "slot.weekday" => Some(values.slot_weekday),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_and_what_a_user_is_called_is_not_read_again() {
        let values = Values { user_id: "{{user.plan}}", user_plan: "pro", ..Values::default() };

        assert_eq!(
            fill("Hi {{user.id}}, {{ user.plan }} {{x}} {{", &values),
            "Hi {{user.plan}}, pro {{x}} {{"
        );
    }

    #[test]
    fn an_unknown_name_is_told_with_the_known_ones() {
        assert!(check("Hi {{user.id}}").is_ok());
        assert!(check("Hi {{user.name}}").unwrap_err().contains("slot.weekday"));
        assert!(check("Hi {{user.id").unwrap_err().contains("never closed"));
    }
}
