//! What is a heading, and what only looks like one.

use pulldown_cmark::BlockQuoteKind;

/// A longer title above a line of hyphens is a paragraph above a rule.
const LONGEST_TITLE_BYTES: usize = 80;

/// Whether a heading is none: CommonMark takes any lines above a line of hyphens for one, and authors mean a rule.
pub(super) fn is_above_rule(heading: &str) -> bool {
    let heading = heading.trim_end();
    if heading.trim_start().starts_with('#') || !heading.ends_with('-') {
        return false;
    }
    let title = heading.trim_end_matches(['-', ' ', '\t']).trim_end();
    let is_tag = title.starts_with('<') && title.ends_with('>');
    is_tag
        || title.contains('\n')
        || title.len() > LONGEST_TITLE_BYTES
        || title.ends_with(['.', ':', '!', '?', ';', ',', '。', '！', '？', '：'])
}

/// The title of an alert, as `> [!NOTE]` begins one.
pub(super) fn of_alert(kind: BlockQuoteKind) -> &'static str {
    match kind {
        BlockQuoteKind::Note => "*Note*",
        BlockQuoteKind::Tip => "*Tip*",
        BlockQuoteKind::Important => "*Important*",
        BlockQuoteKind::Warning => "*Warning*",
        BlockQuoteKind::Caution => "*Caution*",
    }
}
