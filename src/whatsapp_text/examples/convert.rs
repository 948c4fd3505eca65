//! Converts what comes on standard input: `cargo run -p whatsapp_text --example convert < answer.md`.

use std::io::{Read, Write};

use whatsapp_text::text::{Format, WhatsappText};

fn main() -> std::io::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let converted = WhatsappText::of(&text, Format::Auto);
    std::io::stdout().write_all(converted.as_str().as_bytes())
}
