//! The faults that the page offers as switches, with what each does in words. All others are for `PUT /sandbox/faults`.

use crate::faults::Faults;

/// A fault as a switch.
pub(super) struct Switch {
    /// Its name among the faults.
    pub(super) name: &'static str,
    pub(super) words: &'static str,
    read: fn(&Faults) -> f64,
    write: fn(&mut Faults, f64),
}

/// Switches of one time.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) switches: &'static [Switch],
}

macro_rules! chance {
    ($name:ident, $words:literal) => {
        Switch {
            name: stringify!($name),
            words: $words,
            read: |faults| faults.$name,
            write: |faults, chance| faults.$name = chance,
        }
    };
}

/// A fault that takes a time instead of a chance.
macro_rules! pause {
    ($name:ident, $pause:literal, $words:literal) => {
        Switch {
            name: stringify!($name),
            words: $words,
            read: |faults| if faults.$name > 0 { 1.0 } else { 0.0 },
            write: |faults, chance| faults.$name = if chance > 0.0 { $pause } else { 0 },
        }
    };
}

pub(super) const GROUPS: [Group; 3] = [
    Group {
        title: "When the service sends",
        switches: &[
            chance!(drop_after, "Twilio takes the message, and the connection breaks before the answer."),
            chance!(drop_before, "The connection breaks, and Twilio has taken nothing."),
            chance!(error_after, "Twilio takes the message and answers 500."),
            chance!(error_before, "Twilio answers 500 and has taken nothing."),
            chance!(rate_limited, "Twilio answers 429, too many requests."),
            Switch {
                name: "refuse",
                words: "Twilio refuses the message, with 63016 unless another code is set.",
                read: |faults| faults.refuse,
                write: |faults, chance| {
                    faults.refuse = chance;
                    if chance > 0.0 && faults.refuse_code == 0 {
                        faults.refuse_code = 63016;
                    }
                },
            },
            pause!(delay_ms, 3000, "Every answer takes three seconds."),
            chance!(sid_missing, "The answer lacks the message's SID."),
        ],
    },
    Group {
        title: "After a message was sent",
        switches: &[
            Switch {
                name: "fail_later",
                words: "The message fails on its way, with 63024 unless another code is set.",
                read: |faults| faults.fail_later,
                write: |faults, chance| {
                    faults.fail_later = chance;
                    if chance > 0.0 && faults.fail_later_code == 0 {
                        faults.fail_later_code = 63024;
                    }
                },
            },
            chance!(callback_lost, "Status callbacks are lost."),
            chance!(callback_doubled, "Status callbacks come twice."),
            chance!(callback_reordered, "Status callbacks come in the wrong order."),
            pause!(list_lag_ms, 10_000, "Lists show a message ten seconds late."),
        ],
    },
    Group {
        title: "When a person has written",
        switches: &[
            chance!(media_error, "A person's file is answered 500."),
            chance!(typing_error, "The sign that somebody types is answered 500."),
        ],
    },
];

/// A switch as it stands.
pub(super) struct SwitchView {
    pub(super) name: &'static str,
    pub(super) words: &'static str,
    pub(super) is_on: bool,
    /// How often, if it is neither always nor never.
    pub(super) chance: String,
}

impl Switch {
    pub(super) fn view(&self, faults: &Faults) -> SwitchView {
        let chance = (self.read)(faults);
        let often =
            if chance > 0.0 && chance < 1.0 { format!("{:.0} %", chance * 100.0) } else { String::new() };
        SwitchView { name: self.name, words: self.words, is_on: chance > 0.0, chance: often }
    }
}

/// The faults with these switches on and the others off. One that was on keeps its chance; what is no switch stays as it is.
pub(super) fn switched(faults: &Faults, on: &[&str], chance: f64) -> Faults {
    let mut switched = faults.clone();
    for switch in GROUPS.iter().flat_map(|group| group.switches) {
        match on.contains(&switch.name) {
            false => (switch.write)(&mut switched, 0.0),
            true if (switch.read)(faults) == 0.0 => (switch.write)(&mut switched, chance),
            true => {}
        }
    }
    switched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_switch_turns_its_own_fault_on_and_off() {
        for switch in GROUPS.iter().flat_map(|group| group.switches) {
            let on = switched(&Faults::default(), &[switch.name], 1.0);
            let json = serde_json::to_value(&on).unwrap();
            assert!(json[switch.name].as_f64().unwrap() > 0.0, "{}", switch.name);
            let lit = GROUPS.iter().flat_map(|group| group.switches).filter(|other| other.view(&on).is_on);
            assert_eq!(lit.map(|other| other.name).collect::<Vec<_>>(), [switch.name]);

            let off = switched(&on, &[], 1.0);
            assert!(!switch.view(&off).is_on && off.check().is_ok());
        }
    }

    #[test]
    fn what_is_no_switch_or_was_on_stays_as_it_is() {
        let faults = Faults { read: 0.5, drop_after: 0.2, ..Faults::default() };

        let switched = switched(&faults, &["drop_after", "drop_before"], 0.25);

        assert_eq!((switched.read, switched.drop_after, switched.drop_before), (0.5, 0.2, 0.25));
    }
}
