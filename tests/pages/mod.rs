//! The web pages, in a real browser.

mod console;
mod contrast;
mod dashboard;
mod dead_jobs;
mod phones;

/// Pages of the console that every deployment with a message of alice's and the schedule `morning` has, behind `/admin`.
const CONSOLE: [&str; 16] = [
    "",
    "/jobs",
    "/groups",
    "/pauses",
    "/messages",
    "/messages/1",
    "/turns",
    "/deliveries",
    "/in-doubt",
    "/schedules",
    "/schedules/morning",
    "/schedules/morning/preview",
    "/people",
    "/person?user=alice",
    "/alerts",
    "/audit",
];
