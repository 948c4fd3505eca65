//! Code within Markdown: fenced blocks, and spans in a line.

/// Where the code ends that begins with the backticks or tildes at this place; `None`: none begins here.
pub(super) fn end(text: &str, at: usize) -> Option<usize> {
    let mark = text[at..].chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = run(&text[at..], mark);
    if length >= 3 && begins_line(&text[..at]) {
        return Some(fence_end(text, at, mark, length));
    }
    if mark == '~' {
        return None;
    }
    // A span ends with as many backticks, before its paragraph does.
    let body = at + length;
    let mut next = body;
    while let Some(found) = text[next..].find('`') {
        let found = next + found;
        if is_blank_line_in(&text[next..found]) {
            return None;
        }
        let closing = run(&text[found..], '`');
        next = found + closing;
        if closing == length {
            return Some(next);
        }
    }
    None
}

/// How many of this character a text begins with.
pub(super) fn run(text: &str, mark: char) -> usize {
    text.len() - text.trim_start_matches(mark).len()
}

/// Whether nothing but what may stand before a block stands between the last line break and the end.
pub(super) fn begins_line(before: &str) -> bool {
    // What is before that can only be words, and a text may be one long line.
    let mut margin = before.char_indices().rev().take(MARGIN_CHARS + 1);
    match margin.find(|(_, c)| *c == '\n') {
        Some((newline, _)) => without_markers(&before[newline + 1..]).is_empty(),
        None => before.len() <= MARGIN_CHARS && without_markers(before).is_empty(),
    }
}

/// The most that stands before a block on its line.
const MARGIN_CHARS: usize = 100;

/// A line without the marks of quotes and lists before it.
pub(super) fn without_markers(line: &str) -> &str {
    let line = line.trim_start_matches([' ', '\t', '>']);
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let bullet = if number.len() < line.len() {
        number.strip_prefix(". ").or_else(|| number.strip_prefix(") "))
    } else {
        ["- ", "* ", "+ "].into_iter().find_map(|bullet| line.strip_prefix(bullet))
    };
    bullet.map_or(line, str::trim_start)
}

/// Behind the line that closes a fence; a fence that nobody closes goes on to the end.
fn fence_end(text: &str, at: usize, mark: char, length: usize) -> usize {
    let mut line_start = text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1);
    while line_start < text.len() {
        let line_end = text[line_start..].find('\n').map_or(text.len(), |newline| line_start + newline + 1);
        let line = text[line_start..line_end].trim_start_matches([' ', '\t', '>']).trim_end();
        if run(line, mark) >= length && line.trim_start_matches(mark).is_empty() {
            return line_start + text[line_start..line_end].trim_end().len();
        }
        line_start = line_end;
    }
    text.len()
}

fn is_blank_line_in(text: &str) -> bool {
    text.match_indices('\n').any(|(at, _)| {
        let behind = &text[at + 1..];
        behind.find('\n').is_some_and(|newline| behind[..newline].trim().is_empty())
    })
}
