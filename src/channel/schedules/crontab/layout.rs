//! An expression's fields, and what is wrong where it has none.

use super::error::Fault;
use super::field::Field;
use super::part::Part;

/// Words for whole expressions.
const MACROS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The fields' texts in the order of [`Field::ALL`], and whether the seconds were written.
pub(super) fn fields(expression: &str) -> Result<([Part<'_>; 6], bool), Fault> {
    let parts = parts(expression)?;
    if let Some(first) = parts.first().filter(|first| first.text.starts_with('@')) {
        let meaning = macro_meaning(*first, parts.get(1))?;
        return fields(meaning);
    }
    refuse_what_is_no_field(&parts)?;
    let zero = Part { text: "0", at: 0 };
    match parts[..] {
        [minute, hour, day, month, weekday] => Ok(([zero, minute, hour, day, month, weekday], false)),
        [second, minute, hour, day, month, weekday] => {
            Ok(([second, minute, hour, day, month, weekday], true))
        }
        _ => Err(wrong_number(&parts)),
    }
}

/// The pieces between blanks.
fn parts(expression: &str) -> Result<Vec<Part<'_>>, Fault> {
    let text = expression.trim_matches([' ', '\t', '\r', '\n']);
    let whole =
        Part { text, at: expression.len() - expression.trim_start_matches([' ', '\t', '\r', '\n']).len() };
    let strange = text.char_indices().find(|(_, sign)| sign.is_whitespace() && !matches!(sign, ' ' | '\t'));
    if let Some((at, sign)) = strange {
        let what =
            if matches!(sign, '\n' | '\r') { "a line break" } else { "a blank that is no ordinary one" };
        return Err(Fault::at(
            whole.at + at,
            format!("{what}: fields stand in one line, with ordinary blanks or tabs between them"),
        ));
    }
    let spaces = whole.split(' ').flat_map(|part| part.split('\t'));
    Ok(spaces.filter(|part| !part.text.is_empty()).collect())
}

/// What a macro stands for.
fn macro_meaning(name: Part<'_>, behind: Option<&Part<'_>>) -> Result<&'static str, Fault> {
    let text = name.text;
    let known = MACROS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    match (known, behind) {
        (Some((_, meaning)), None) => Ok(meaning),
        (Some(_), Some(behind)) => Err(Fault::at(behind.at, format!("nothing stands behind {text}"))),
        (None, Some(span)) if text.eq_ignore_ascii_case("@every") => {
            Err(Fault::at(name.at, format!("{text}: write every = \"{}\" in place of cron", span.text)))
        }
        (None, _) if text.eq_ignore_ascii_case("@reboot") => {
            Err(Fault::at(name.at, format!("{text}: a schedule knows times alone, no start of a machine")))
        }
        (None, _) => {
            let known: Vec<&str> = MACROS.iter().map(|(name, _)| *name).collect();
            Err(Fault::at(name.at, format!("{text}: no such macro; the macros are {}", known.join(", "))))
        }
    }
}

/// Settings, comments and lists with a blank in them.
fn refuse_what_is_no_field(parts: &[Part<'_>]) -> Result<(), Fault> {
    if let Some((name, value)) = parts.first().and_then(|first| first.split_once('=')) {
        let zone = name.text.eq_ignore_ascii_case("TZ") || name.text.eq_ignore_ascii_case("CRON_TZ");
        let reason = if zone {
            format!("{}=: set timezone = \"{}\" in the schedule instead", name.text, value.text)
        } else {
            format!("{}=: a crontab's variables do not stand here", name.text)
        };
        return Err(Fault::at(name.at, reason));
    }
    if let Some(comment) = parts.iter().find(|part| part.text.starts_with('#')) {
        return Err(Fault::at(comment.at, "a comment stands in the file, not in the expression"));
    }
    refuse_blank_in_list(parts)
}

/// `1, 3` and `1 - 5` are one field with a blank in it, if there are enough fields without it.
fn refuse_blank_in_list(parts: &[Part<'_>]) -> Result<(), Fault> {
    let open = |text: &str| text.ends_with([',', '-', '/', '#']);
    let goes_on = |text: &str| {
        let behind = text.strip_prefix([',', '-', '/']).map(|behind| behind.chars().next());
        // A path is a command, not a step.
        behind.is_some_and(|sign| {
            sign.is_none_or(|sign| {
                sign.is_ascii_digit() || sign.is_ascii_alphabetic() && !text.starts_with('/')
            })
        })
    };
    let mut joined: Vec<Vec<Part<'_>>> = Vec::new();
    for part in parts {
        match joined.last_mut() {
            Some(before) if open(before[before.len() - 1].text) || goes_on(part.text) => before.push(*part),
            _ => joined.push(vec![*part]),
        }
    }
    let Some(field) = joined.iter().find(|field| field.len() > 1 && matches!(joined.len(), 5 | 6)) else {
        return Ok(());
    };
    let texts: Vec<&str> = field.iter().map(|part| part.text).collect();
    let reason = format!("{}: a blank inside a field: is {} meant?", texts.join(" "), texts.concat());
    Err(Fault::at(field[0].at, reason))
}

/// Not five and not six.
fn wrong_number(parts: &[Part<'_>]) -> Fault {
    let form = "it must have 5 (minute, hour, day, month, weekday), or 6 with seconds first";
    let number = match parts.len() {
        1 => "it has 1 field".to_owned(),
        number => format!("it has {number} fields"),
    };
    let Some(first) = parts.first() else { return Fault::whole(format!("{number}; {form}")) };
    if let Some((hour, minute)) = time_of_day(*first).filter(|_| parts.len() == 1) {
        return Fault::at(first.at, format!("{}: is {minute} {hour} * * * meant?", first.text));
    }
    let Some(seventh) = parts.get(6) else { return Fault::whole(format!("{number}; {form}")) };
    let year = seventh.is_number() && seventh.text.len() == 4;
    let year = if year { "; a year has no field: write until or at for it" } else { "" };
    Fault::at(seventh.at, format!("{number}; {form}{year}"))
}

/// `9:00` as hour and minute.
fn time_of_day(part: Part<'_>) -> Option<(u8, u8)> {
    let (hour, minute) = part.split_once(':')?;
    Some((Field::Hour.value(hour).ok()?, Field::Minute.value(minute).ok()?))
}
