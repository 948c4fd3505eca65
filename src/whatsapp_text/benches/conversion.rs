//! What the conversion of an answer of 1,600 characters costs, beside what its parser costs: `cargo bench -p whatsapp_text`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use pulldown_cmark::{Options, Parser};
use whatsapp_text::text::{Format, WhatsappText};

/// What agents write: a heading, emphasis, lists, a table, code, links.
const PART: &str = "## Weather in **Berlin**\n\nIt is *sunny* today, see [the map](https://maps.example/a_b?c=d) or https://x.example/a_b_c for details. \
    The product 2*3*4 is 24 and `snake_case` stays.\n\n- **Morning:** 12° and dry\n- **Evening:** 9°, ~~rain~~ clouds\n  1. take a jacket\n  2. leave at 8\n\n\
    | Day | Temp |\n|---|---|\n| Mon | 12° |\n| Tue | 15° |\n\n```python\nx = a ** 2  # **no**\n```\n\n> Dress *warmly*, they said.\n\n";

fn conversion(c: &mut Criterion) {
    let text: String = PART.chars().cycle().take(1600).collect();
    let words = "It is sunny today, and nothing is to be said about tomorrow. ".repeat(27);
    c.bench_function("convert 1600 characters of Markdown", |b| {
        b.iter(|| WhatsappText::of(black_box(&text), Format::Auto))
    });
    c.bench_function("parse the same", |b| {
        b.iter(|| {
            let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
            Parser::new_ext(black_box(&text), options).into_offset_iter().count()
        });
    });
    c.bench_function("convert 1600 characters of prose", |b| {
        b.iter(|| WhatsappText::of(black_box(&words), Format::Auto))
    });
}

criterion_group!(benches, conversion);
criterion_main!(benches);
