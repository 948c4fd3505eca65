//! What is refused: the place, the field and the likely meaning.

use super::Cron;

/// An expression, and what is told behind its text.
const SLIPS: &[(&str, &str)] = &[
    // A slash or a blank is missing.
    ("*15 * * * *", ", character 1 (minute): *15: is */15 meant?"),
    ("*5 * * * *", ", character 1 (minute): *5: is */5 meant?"),
    ("5* * * * *", ", character 1 (minute): 5*: is 5 or */5 meant?"),
    ("0 *2 * * *", ", character 3 (hour): *2: is */2 meant?"),
    ("0 9 *1 * *", ", character 5 (day of the month): *1: is 1 or * meant?"),
    ("0 9* * * *", ", character 3 (hour): 9*: is 9 or */9 meant?"),
    ("0 0 15MAY * *", ", character 5 (day of the month): 15MAY: a blank is missing: is 15 MAY meant?"),
    ("0 0 15 MAY1 *", ", character 8 (month): MAY1: a blank is missing: is MAY 1 meant?"),
    ("0 9 * * 1MON", ", character 9 (weekday): 1MON: a blank is missing: is 1 MON meant?"),
    ("** * * * *", ", character 1 (minute): **: is * meant?"),
    ("/15 * * * *", ", character 1 (minute): /15: is */15 meant?"),
    ("*-15 * * * *", ", character 1 (minute): *-15: a star stands alone or before a step, as in */15"),
    (
        "0 9 *MON * *",
        ", character 5 (day of the month): *MON: a star stands alone or before a step, as in */15",
    ),
    // Lists.
    ("1,2,3, * * * *", ", character 7 (minute): 1,2,3,: an item of the list is empty: is 1,2,3 meant?"),
    ("1,,2 * * * *", ", character 3 (minute): 1,,2: an item of the list is empty: is 1,2 meant?"),
    (",1 * * * *", ", character 1 (minute): ,1: an item of the list is empty: is 1 meant?"),
    (", * * * *", ", character 1 (minute): ,: an item of the list is empty"),
    ("0 9 * * 1, 3", ", character 9: 1, 3: a blank inside a field: is 1,3 meant?"),
    ("0 9 * * 1 ,3", ", character 9: 1 ,3: a blank inside a field: is 1,3 meant?"),
    ("0 9 * * 1 , 3", ", character 9: 1 , 3: a blank inside a field: is 1,3 meant?"),
    ("0 9 * * MON - FRI", ", character 9: MON - FRI: a blank inside a field: is MON-FRI meant?"),
    ("*/ 5 * * * *", ", character 1: */ 5: a blank inside a field: is */5 meant?"),
    ("* /5 * * * *", ", character 1: * /5: a blank inside a field: is */5 meant?"),
    // Signs of other crontabs.
    ("0~59 * * * *", ", character 2 (minute): 0~59: random values are not supported: write one value"),
    ("~ * * * *", ", character 1 (minute): ~: random values are not supported: write one value"),
    ("H * * * *", ", character 1 (minute): H: hashed and random values are not supported: write one value"),
    ("0 R * * *", ", character 3 (hour): R: hashed and random values are not supported: write one value"),
    ("+5 * * * *", ", character 1 (minute): +5: a number has no sign: is 5 meant?"),
    ("-5 * * * *", ", character 1 (minute): -5: is 5 or 0-5 meant?"),
    ("TZ=UTC 0 9 * * *", ", character 1: TZ=: set timezone = \"UTC\" in the schedule instead"),
    (
        "CRON_TZ=Europe/Paris 0 9 * * *",
        ", character 1: CRON_TZ=: set timezone = \"Europe/Paris\" in the schedule instead",
    ),
    ("MAILTO=a 0 9 * * *", ", character 1: MAILTO=: a crontab's variables do not stand here"),
    ("@reboot", ", character 1: @reboot: a schedule knows times alone, no start of a machine"),
    ("@every 90m", ", character 1: @every: write every = \"90m\" in place of cron"),
    (
        "@noon",
        ", character 1: @noon: no such macro; the macros are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly",
    ),
    ("@daily 5", ", character 8: nothing stands behind @daily"),
    ("0 9 * * * # comment", ", character 11: a comment stands in the file, not in the expression"),
    ("0 9 * * * /bin/true", ", character 11 (weekday): /bin/true: no command stands here"),
    (
        "0 9 * * * true",
        ", character 11 (weekday): true is no weekday; weekdays are 0 to 7, where 0 and 7 are Sunday, or SUN to SAT",
    ),
    // Numbers.
    ("60 * * * *", ", character 1 (minute): 60: minutes are 0 to 59; the full hour is 0"),
    ("0 24 * * *", ", character 3 (hour): 24: hours are 0 to 23; midnight is 0"),
    ("0 9-24 * * *", ", character 5 (hour): 24: hours are 0 to 23; midnight is 0"),
    ("0 0 0 * *", ", character 5 (day of the month): 0: days are 1 to 31; the last day of a month is L"),
    ("0 0 32 * *", ", character 5 (day of the month): 32: days are 1 to 31; the last day of a month is L"),
    ("0 0 * 0 *", ", character 7 (month): 0: months are 1 to 12, or JAN to DEC"),
    ("0 0 * 13 *", ", character 7 (month): 13: months are 1 to 12, or JAN to DEC"),
    ("0 0 * * 8", ", character 9 (weekday): 8: weekdays are 0 to 7, where 0 and 7 are Sunday, or SUN to SAT"),
    ("60 0 9 * * *", ", character 1 (second): 60: seconds are 0 to 59"),
    ("99999999999 * * * *", ", character 1 (minute): 99999999999: minutes are 0 to 59; the full hour is 0"),
    (
        "0 9 * * * 2026",
        ", character 11 (weekday): 2026: weekdays are 0 to 7, where 0 and 7 are Sunday, or SUN to SAT; a year has no field: write until or at for it",
    ),
    (
        "0 9am * * *",
        ", character 3 (hour): 9am: hours are 0 to 23: 9 in the morning is 9, 9 in the evening is 21",
    ),
    ("1.5 * * * *", ", character 2 (minute): . has no meaning here"),
    ("０ 9 * * *", ", character 1 (minute): ０ is none of the digits 0 to 9"),
    (
        "0 9:30 * * *",
        ", character 4 (hour): 9:30: a time of day is two fields, the minute first: 9:30 is 30 9",
    ),
    // Names.
    ("0 9 * January *", ", character 7 (month): January: names have three letters: write JAN"),
    ("0 9 * sept *", ", character 7 (month): sept: names have three letters: write SEP"),
    ("0 9 * * Monday", ", character 9 (weekday): Monday: names have three letters: write MON"),
    ("0 9 * * TUES", ", character 9 (weekday): TUES: names have three letters: write TUE"),
    ("0 9 * MON *", ", character 7 (month): MON is a weekday; this is the field of the month"),
    ("0 9 * * JAN", ", character 9 (weekday): JAN is a month; this is the field of the weekday"),
    (
        "0 0 * * XYZ",
        ", character 9 (weekday): XYZ is no weekday; weekdays are 0 to 7, where 0 and 7 are Sunday, or SUN to SAT",
    ),
    // Steps and ranges.
    ("*/0 * * * *", ", character 3 (minute): */0: a step is 1 or more"),
    ("5/0 * * * *", ", character 3 (minute): 5/0: a step is 1 or more"),
    ("*/ * * * *", ", character 3 (minute): */: a step is missing behind the slash"),
    (
        "*/x * * * *",
        ", character 3 (minute): */x: one number stands behind the slash, as in */15 or 10-40/15",
    ),
    (
        "*/5-10 * * * *",
        ", character 3 (minute): */5-10: one number stands behind the slash, as in */15 or 10-40/15",
    ),
    (
        "*/2/3 * * * *",
        ", character 3 (minute): */2/3: one number stands behind the slash, as in */15 or 10-40/15",
    ),
    ("*/60 * * * *", ", character 1 (minute): */60: that is minute 0 alone: write 0"),
    (
        "*/90 * * * *",
        ", character 1 (minute): */90: that is minute 0 alone: write 0, or every = \"90m\" in place of cron",
    ),
    (
        "*/999 * * * *",
        ", character 1 (minute): */999: that is minute 0 alone: write 0, or every = \"999m\" in place of cron",
    ),
    ("0 */24 * * *", ", character 3 (hour): */24: that is hour 0 alone: write 0"),
    (
        "0 */36 * * *",
        ", character 3 (hour): */36: that is hour 0 alone: write 0, or every = \"36h\" in place of cron",
    ),
    ("0 0 */31 * *", ", character 5 (day of the month): */31: that is day of the month 1 alone: write 1"),
    ("0 0 1 */12 *", ", character 7 (month): */12: that is month January alone: write JAN"),
    ("0 0 * * */7", ", character 9 (weekday): */7: that is weekday Sunday alone: write SUN"),
    ("45/15 * * * *", ", character 1 (minute): 45/15: that is minute 45 alone: write 45"),
    ("0 9 * * MON/6", ", character 9 (weekday): MON/6: that is weekday Monday alone: write MON"),
    ("5-* * * * *", ", character 1 (minute): 5-*: is 5-59 meant?"),
    ("5- * * * *", ", character 1 (minute): 5-: is 5 or 5-59 meant?"),
    ("1-2-3 * * * *", ", character 3 (minute): 1-2-3: a range has one beginning and one end"),
    (
        "10-5 * * * *",
        ", character 1 (minute): 10-5 runs backwards: is 5-10 meant, or 10-59,0-5 over the end?",
    ),
    (
        "0 22-2/2 * * *",
        ", character 3 (hour): 22-2 runs backwards: is 2-22 meant, or 22-23,0-2 over the end?",
    ),
    (
        "0 0 * 11-2 *",
        ", character 7 (month): 11-2 runs backwards: is FEB-NOV meant, or NOV-DEC,JAN-FEB over the end?",
    ),
    ("? * * * *", ", character 1 (minute): ? stands in the day fields only: write *"),
    ("0 0 ?/2 * *", ", character 5 (day of the month): ?/2: is */2 meant?"),
    // L, W and #.
    ("0 0 32W * *", ", character 5 (day of the month): 32: days are 1 to 31; the last day of a month is L"),
    (
        "0 0 W * *",
        ", character 5 (day of the month): W: every day from Monday to Friday is MON-FRI in the weekday; the one nearest to the 15th is 15W",
    ),
    (
        "0 0 1-5W * *",
        ", character 5 (day of the month): 1-5W: W stands behind one day, as in 15W, or behind L",
    ),
    ("0 0 L3 * *", ", character 5 (day of the month): L3: is L-3 meant?"),
    (
        "0 0 L-31 * *",
        ", character 5 (day of the month): L-31: L is the last day, L-1 to L-30 are days before it, LW is the last weekday",
    ),
    (
        "0 0 L-0 * *",
        ", character 5 (day of the month): L-0: L is the last day, L-1 to L-30 are days before it, LW is the last weekday",
    ),
    (
        "0 0 5L * *",
        ", character 5 (day of the month): 5L: L stands alone, or before how many days before the last: L-3",
    ),
    ("0 0 L/2 * *", ", character 7 (day of the month): L/2: a step stands behind a star, a value or a range"),
    ("L * * * *", ", character 1 (minute): L stands in the day of the month, not in the minute"),
    ("0 0 * * 15W", ", character 9 (weekday): 15W stands in the day of the month, not in the weekday"),
    ("0 0 * * LW", ", character 9 (weekday): LW stands in the day of the month, not in the weekday"),
    ("0 0 * 5L *", ", character 7 (month): 5L stands in the weekday, not in the month"),
    (
        "0 0 * * L",
        ", character 9 (weekday): L: which weekday's last? The last Friday is FRIL; L as the month's last day stands in the day of the month",
    ),
    ("0 0 * * MON#6", ", character 13 (weekday): MON#6: 1 to 5 stands behind #; the last one is MONL"),
    ("0 0 * * MON#0", ", character 13 (weekday): MON#0: 1 to 5 stands behind #; the last one is MONL"),
    ("0 0 * * MON#", ", character 13 (weekday): MON#: 1 to 5 stands behind #; the last one is MONL"),
    ("0 0 * * 1#L", ", character 11 (weekday): 1#L: the last one is 1L"),
    ("0 0 * * MON-FRI#1", ", character 9 (weekday): MON-FRI#1: # stands behind one weekday, as in MON#1"),
    ("0 0 1#1 * *", ", character 5 (day of the month): 1#1: # stands in the weekday, as in MON#1"),
    // Too little and too much.
    ("", ": it has 0 fields; it must have 5 (minute, hour, day, month, weekday), or 6 with seconds first"),
    (" ", ": it has 0 fields; it must have 5 (minute, hour, day, month, weekday), or 6 with seconds first"),
    ("abc", ": it has 1 field; it must have 5 (minute, hour, day, month, weekday), or 6 with seconds first"),
    (
        "0 9 * *",
        ": it has 4 fields; it must have 5 (minute, hour, day, month, weekday), or 6 with seconds first",
    ),
    (
        "every day at 9am",
        ": it has 4 fields; it must have 5 (minute, hour, day, month, weekday), or 6 with seconds first",
    ),
    ("9:00", ", character 1: 9:00: is 0 9 * * * meant?"),
    (
        "0 0 9 * * MON 2026",
        ", character 15: it has 7 fields; it must have 5 (minute, hour, day, month, weekday), or 6 with seconds first; a year has no field: write until or at for it",
    ),
    (
        "0\u{a0}9 * * * *",
        ", character 2: a blank that is no ordinary one: fields stand in one line, with ordinary blanks or tabs between them",
    ),
    (
        "0 9 *\n* *",
        ", character 6: a line break: fields stand in one line, with ordinary blanks or tabs between them",
    ),
];

#[test]
fn a_slip_of_the_pen_is_told_with_its_place_and_its_likely_meaning() {
    for (expression, told) in SLIPS {
        let read = Cron::parse(expression).map(|_| "taken").map_err(|error| error.to_string());
        assert_eq!(read, Err(format!("cron {expression:?}{told}")));
    }
}

#[test]
fn what_is_meant_by_a_slip_is_itself_taken() {
    for expression in [
        "*/15 * * * *",
        "0 9 * * 1,3",
        "10-59,0-5 * * * *",
        "0 0 * NOV-DEC,JAN-FEB *",
        "0 0 L-3 * *",
        "0 0 15 MAY *",
    ] {
        assert!(Cron::parse(expression).is_ok(), "{expression}");
    }
}
