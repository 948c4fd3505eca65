//! What holds for every text, tried on thousands of random ones made of what people and agents write.

use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;
use whatsapp_text::text::WhatsappText;

use crate::outbound::planning::{CUT_NOTICE, ChunkLimits, Origin, PlannedText, footer, plan, width};

/// A text of words, signs, code, emoji families, flags, and several scripts, often longer than one chunk.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[a-z]{1,12}",
        6 => Just(" ".to_owned()),
        2 => "[ \\t]{1,60}",
        3 => "(\\.|!|\\?|,|:) ",
        2 => "(\\r\\n|\\n){1,3}",
        2 => prop::sample::select(vec!["*", "**", "_", "~", "`", "```", " *", "* ", " _", "_ ", "(", ")"]).prop_map(str::to_owned),
        1 => "\n```[a-z]{0,6}\n",
        1 => Just("\n```\n".to_owned()),
        1 => "\\*[a-z ]{1,90}\\*",
        1 => "\n```rust\n( {0,8}[a-z(){};]{1,30}\n){1,12}```\n",
        3 => prop::sample::select(vec!["👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "🇫🇷🇯🇵", "👍🏽", "e\u{301}", "n\u{303}\u{323}", "क्षि", "ﷺ"]).prop_map(str::to_owned),
        1 => "[\u{4e00}-\u{4fff}]{1,60}。",
        1 => "[\u{5d0}-\u{5ea}]{1,9} [\u{627}-\u{64a}]{1,9}؟ ",
        1 => "[!-~]{100,260}",
        1 => Just("\u{a0}".to_owned()),
        1 => Just(format!("\n\n{}", footer::SENTENCE)),
        1 => "\\PC",
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn limits() -> impl Strategy<Value = ChunkLimits> {
    (prop_oneof![Just(200_usize), 200..400_usize, Just(1550)], 1..12_usize)
        .prop_map(|(chunk_utf16, chunks)| ChunkLimits { chunk_utf16, chunks })
}

/// Sections with one or two headings, a paragraph each.
fn sections() -> impl Strategy<Value = String> {
    let heading = "(> )?\\*[A-Z][a-z]{1,9}( [a-z]{1,9}){0,3}\\*\n{1,2}";
    let section = (prop::collection::vec(heading, 1..3), "[a-z]{1,9}([,.]? [a-z]{1,9}){0,60}\n{1,3}");
    prop::collection::vec(section, 1..9).prop_map(|sections| {
        sections.into_iter().flat_map(|(headings, text)| headings.into_iter().chain([text])).collect()
    })
}

/// What holds for both kinds.
fn check(text: &str, plan: &PlannedText, limits: &ChunkLimits) -> Result<(), TestCaseError> {
    let clusters: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).chain([text.len()]).collect();
    let mut at = 0;
    for chunk in &plan.chunks {
        prop_assert!(width(&chunk.body) <= limits.chunk_utf16);
        prop_assert!(!chunk.body.trim().is_empty());
        prop_assert_eq!(chunk.source.start, at);
        prop_assert!(
            clusters.binary_search(&chunk.source.end).is_ok(),
            "a cluster is split at {}",
            chunk.source.end
        );
        at = chunk.source.end;
        let again = super::plan(&WhatsappText::as_written(chunk.body.clone()), Origin::Reply, limits);
        prop_assert_eq!(again.chunks.len(), 1);
        prop_assert_eq!(&again.chunks[0].body, &chunk.body);
    }
    prop_assert!(plan.chunks.len() <= limits.chunks);
    prop_assert_eq!(plan.cut, at != text.len() && !plan.chunks.is_empty());
    prop_assert_eq!(plan.cut, plan.chunks.last().is_some_and(|last| last.body.contains(CUT_NOTICE)));
    Ok(())
}

/// The letters and digits, which no plan may lose or double.
fn letters<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().flat_map(str::chars).filter(|char| char.is_alphanumeric()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_reply_fits_is_covered_and_has_no_flags(text in texts(), limits in limits()) {
        let plan = plan(&WhatsappText::as_written(text.clone()), Origin::Reply, &limits);

        check(&text, &plan, &limits)?;
        prop_assert!(plan.chunks.iter().all(|chunk| !chunk.meter_proactive && !chunk.has_footer));
        prop_assert_eq!(plan.chunks.is_empty(), super::is_blank(&text));
        if !plan.cut && !text.contains("```") {
            prop_assert_eq!(letters(plan.chunks.iter().map(|chunk| chunk.body.as_str())), letters([text.as_str()]));
        }
    }

    #[test]
    fn a_heading_is_never_the_last_line_of_a_chunk(text in sections(), limits in limits()) {
        for origin in [Origin::Reply, Origin::Proactive] {
            let plan = plan(&WhatsappText::as_written(text.clone()), origin, &limits);

            check(&text, &plan, &limits)?;
            for chunk in &plan.chunks {
                let last = text[chunk.source.clone()].trim_end().lines().next_back().unwrap_or_default();
                prop_assert!(!last.ends_with('*'), "{}", chunk.body);
            }
        }
    }

    #[test]
    fn every_proactive_text_has_one_footer_at_its_end(text in texts(), limits in limits()) {
        let plan = plan(&WhatsappText::as_written(text.clone()), Origin::Proactive, &limits);

        check(&text, &plan, &limits)?;
        prop_assert!(plan.chunks.iter().all(|chunk| chunk.meter_proactive));
        if let Some((last, others)) = plan.chunks.split_last() {
            prop_assert!(last.has_footer && others.iter().all(|chunk| !chunk.has_footer));
            prop_assert!(last.body.ends_with(footer::SENTENCE));
            let above = last.body.strip_suffix(footer::SENTENCE).map(str::trim_end).unwrap_or_default();
            prop_assert!(plan.cut || !above.ends_with(footer::SENTENCE));
            prop_assert!(above.is_empty() || last.body.ends_with("\n\nReply STOP to unsubscribe."));
        }
    }
}
