//! What an author is told about an expression that is taken.

use super::Cron;

const NOTES: &[(&str, &[&str])] = &[
    ("30 8 * * 1-5", &[]),
    ("*/15 * * * *", &[]),
    ("0 */2 * * *", &[]),
    ("0 9 1,15 * *", &[]),
    ("0 18 * * SUN", &[]),
    ("@weekly", &[]),
    // The day fields.
    (
        "0 9 1-7 * MON",
        &[
            "1-7 * MON: a day need fit only one of the two day fields: on days 1 to 7 and on every Monday; for the first Monday of the month alone write MON#1 and * for the day",
        ],
    ),
    (
        "0 9 15-21 * 4",
        &[
            "15-21 * 4: a day need fit only one of the two day fields: on days 15 to 21 and on every Thursday; for the third Thursday of the month alone write 4#3 and * for the day",
        ],
    ),
    ("0 9 13 * 5", &["13 * 5: a day need fit only one of the two day fields: on day 13 and on every Friday"]),
    (
        "0 9 1,15,16,20-22 * MON,WED",
        &[
            "1,15,16,20-22 * MON,WED: a day need fit only one of the two day fields: on days 1, 15, 16 and 20 to 22 and on every Monday and Wednesday",
        ],
    ),
    (
        "0 9 */2 * MON",
        &[
            "*/2: days begin anew with every month, so the step from its last one is another",
            "*/2 * MON: */2 begins with a star, so a day must fit both day fields: days 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29 and 31, if it is also every Monday",
        ],
    ),
    // Steps.
    (
        "*/7 * * * *",
        &[
            "*/7 begins anew with every hour: from 56 to 0 the step is 4, not 7; evenly it is every = \"7m\" in place of cron",
        ],
    ),
    ("*/7 9 * * *", &["*/7 begins anew with every hour: from 56 to 0 the step is 4, not 7"]),
    (
        "0 */5 * * *",
        &[
            "*/5 begins anew with every day: from 20 to 0 the step is 4, not 5; evenly it is every = \"5h\" in place of cron",
        ],
    ),
    ("0 9 * * */2", &["*/2 begins anew with every week: from Saturday to Sunday the step is 1, not 2"]),
    ("5-10/10 * * * *", &["5-10/10 (minute): that is 5 alone"]),
    ("5,* * * * *", &["5,*: with a star in the list it is every minute"]),
    // Months that lack a day.
    (
        "0 9 31 * *",
        &[
            "31: February, April, June, September and November have no such day; the last day of every month is L",
        ],
    ),
    ("0 9 29 2 *", &["29: February has no such day but in a leap year; the last day of every month is L"]),
    ("0 9 30 1-3 *", &["30: February has no such day; the last day of every month is L"]),
    ("0 9 31 1 *", &[]),
    // Forms that crontab refuses.
    ("30 0 9 * * *", &["six fields: the first is the second, then minute, hour, day, month and weekday"]),
    (
        "0 0 9 ? * 2-6",
        &[
            "six fields: the first is the second, then minute, hour, day, month and weekday",
            "2-6: every Tuesday, Wednesday, Thursday, Friday and Saturday, since Sunday is 0 and 7",
        ],
    ),
    ("5/15 * * * *", &["5/15 (minute): 5, 20, 35 and 50"]),
    ("0 9 * * FRI-MON", &["FRI-MON goes over the end of the week: Sunday, Monday, Friday and Saturday"]),
    ("0 9 L * *", &["L: the last day"]),
    ("0 9 L-3 * *", &["L-3: the day that is 3 days before the last"]),
    ("0 9 LW * *", &["LW: the last day from Monday to Friday"]),
    ("0 9 15W * *", &["15W: the day from Monday to Friday nearest to day 15"]),
    ("0 9 * * FRIL", &["FRIL: the last Friday of the month"]),
    (
        "0 9 * * MON#5",
        &["MON#5: the fifth Monday of the month, in months that have five; the last one is MONL"],
    ),
    (
        "0 9 * * MON#1,3",
        &[
            "MON#1: the first Monday of the month",
            "MON#1,3: 3 is every Wednesday; for another MON write MON#3",
        ],
    ),
];

#[test]
fn what_surprises_is_said() {
    for (expression, notes) in NOTES {
        assert_eq!(Cron::parse(expression).unwrap().notes(), *notes, "{expression}");
    }
}
