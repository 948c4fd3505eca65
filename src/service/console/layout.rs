//! What stands around every page: where one can go, who one is, and what the last action came to.

use pages::{SCRIPT, STYLE};

use super::flash::Flash;
use crate::config::administrators::Administrator;

/// The pages that stand in the menu.
const MENU: [(&str, &str); 10] = [
    ("/admin", "Now"),
    ("/admin/jobs", "Jobs"),
    ("/admin/messages", "Messages"),
    ("/admin/turns", "Turns"),
    ("/admin/deliveries", "Deliveries"),
    ("/admin/in-doubt", "In doubt"),
    ("/admin/schedules", "Schedules"),
    ("/admin/people", "People"),
    ("/admin/alerts", "Alerts"),
    ("/admin/audit", "Audit"),
];

/// What a template extends.
pub(super) struct Layout {
    pub(super) who: String,
    pub(super) may_act: bool,
    /// The menu's address that the page belongs to.
    pub(super) here: &'static str,
    pub(super) said: Option<String>,
    /// Whether it follows what happens. False: it answers a form, and its address cannot be asked again.
    pub(super) is_live: bool,
}

impl Layout {
    pub(super) fn of(who: &Administrator, here: &'static str, flash: Option<Flash>) -> Self {
        let said = flash.map(|flash| flash.0);
        Self { who: who.name.to_string(), may_act: who.may_act, here, said, is_live: true }
    }

    pub(super) fn menu(&self) -> &'static [(&'static str, &'static str)] {
        &MENU
    }

    pub(super) fn style(&self) -> String {
        STYLE.to_string()
    }

    pub(super) fn script(&self) -> String {
        SCRIPT.to_string()
    }
}
