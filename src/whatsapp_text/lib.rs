//! What an agent wrote, as WhatsApp shows it.
//!
//! Agents write Markdown; WhatsApp has signs of its own: `*bold*`, `_italic_`, `~strike~`, code between backticks, `- ` and `1. ` for
//! lists, `> ` for quotes. Its signs count only at the edges of words, within one line, and not inside their own kind.
//!
//! ```
//! use whatsapp_text::text::{Format, WhatsappText};
//!
//! let text = WhatsappText::of("## Weather\nIt is **sunny**, see [the map](https://maps.example).", Format::Auto);
//!
//! assert_eq!(text.as_str(), "*Weather*\nIt is *sunny*, see the map (https://maps.example).");
//! ```
//!
//! A text goes through three steps. `masking` finds what no Markdown parser may touch (URLs, products such as `2*3*4`, names such as
//! `__init__`, mathematics, HTML tags) and hides it behind letters of the same length. pulldown-cmark reads the rest; its events carry byte
//! ranges, so what was hidden is taken from the source again. `reader` and `blocks` write.

/// Lines with their quotes, markers and indentation.
mod blocks;
/// Whose signs a text has.
mod dialect;
/// HTML's entities.
mod entities;
/// Signs that their author has escaped.
mod escapes;
/// The runs of a paragraph, each with its emphasis.
mod inlines;
/// One line with its signs.
mod line;
/// Where a link leads.
mod links;
/// What no Markdown parser may touch.
mod masking;
/// Mathematics as a line of text.
mod mathematics;
/// What the parser finds.
mod parser;
/// From the parser's events to WhatsApp's lines.
mod reader;
/// Tables as lines that a phone can show.
mod tables;
/// HTML tags.
mod tags;
/// The result, and how it is asked for.
pub mod text;
/// Asterisks that the parser left alone.
mod unpaired;

#[cfg(test)]
mod tests;
