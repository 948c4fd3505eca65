//! The web pages, in a real browser.

mod console;
mod phones;
