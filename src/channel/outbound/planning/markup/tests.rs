//! Where a break may be.

use crate::outbound::planning::bodies;

#[test]
fn a_long_block_is_closed_and_opened_again_and_keeps_its_indentation() {
    let line = "    let answer = 42;\n";
    let text = format!("See:\n```rust\n{}```\nDone.", line.repeat(20));

    let chunks = bodies(&text);

    let part = |lines: usize| format!("```rust\n{}```", line.repeat(lines));
    assert_eq!(chunks, [format!("See:\n{}", part(8)), part(9), format!("{}\nDone.", part(3))]);
}

#[test]
fn a_short_block_and_a_short_span_stay_whole() {
    let before = "word ".repeat(30);
    for whole in [
        "*this is bold and ends here*",
        "```\nfirst line\n\nsecond line\n```",
        "(_it_ `is a long piece of code`)",
    ] {
        let chunks = bodies(&format!("{before}\n{whole} {before}"));

        assert!(chunks.iter().any(|chunk| chunk.contains(whole)), "{chunks:?}");
    }
}

#[test]
fn a_long_span_is_closed_and_opened_again() {
    let words = "bold words ".repeat(25);

    let chunks = bodies(&format!("*_{}_*", words.trim_end()));

    assert_eq!(chunks.len(), 2);
    assert!(chunks.iter().all(|chunk| chunk.starts_with("*_") && chunk.ends_with("_*")), "{chunks:?}");
}
