//! The web pages, in a real browser.

mod console;
mod contrast;
mod dashboard;
mod dead_jobs;
mod phones;
