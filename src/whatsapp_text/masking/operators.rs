//! Products, powers, paths and ratings: words with asterisks in them that are no emphasis, whatever CommonMark sees.

use std::ops::Range;

use super::names;

/// The word around `at`: up to white space and what ends code, cells and tags.
pub(super) fn token_around(source: &str, at: usize, from: usize) -> Range<usize> {
    let is_end = |char: char| char.is_whitespace() || matches!(char, '`' | '|' | '<' | '>' | '$');
    let start = source[from..at].rfind(is_end).map_or(from, |found| {
        let found = from + found;
        found + source[found..].chars().next().map_or(1, char::len_utf8)
    });
    let end = source[at..].find(is_end).map_or(source.len(), |found| at + found);
    start..end
}

/// The signs of a word that are no emphasis.
pub(super) fn literal_signs(source: &str, token: Range<usize>) -> Vec<Range<usize>> {
    let mut signs = asterisks(source, token.clone());
    signs.extend(variadic(source, token.clone()));
    signs.extend(rating(source, token.clone()));
    signs.extend(names::dunders(source, token));
    signs
}

/// The asterisks of `*args` and `**kwargs`, which nobody closes.
fn variadic(source: &str, token: Range<usize>) -> Option<Range<usize>> {
    let word = &source[token.clone()];
    let start = word.find('*')?;
    let name = word[start..].trim_start_matches('*');
    let end = word.len() - name.len();
    let is_variadic = ["args", "kwargs"]
        .iter()
        .any(|wanted| name.trim_end_matches([')', ',', '.', ';', ':', '?', '!']) == *wanted);
    (is_variadic && !word[..start].contains(char::is_alphanumeric))
        .then_some(token.start + start..token.start + end)
}

/// How far back an asterisk may have been opened, in characters.
const LONGEST_EMPHASIS: usize = 300;

/// The asterisk of `5* hotel`, if none before it in its line may want to be closed.
fn rating(source: &str, token: Range<usize>) -> Option<Range<usize>> {
    let number = source[token.clone()].strip_suffix('*')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let near = source[..token.start]
        .char_indices()
        .rev()
        .take(LONGEST_EMPHASIS)
        .take_while(|(_, char)| *char != '\n');
    let line = &source[near.last().map_or(token.start, |(at, _)| at)..token.start];
    let is_opened = line.split_whitespace().any(|word| {
        let bare = word.trim_start_matches(|char: char| !char.is_alphanumeric() && char != '*');
        bare.starts_with('*') && bare.len() > 1 && !bare.starts_with("**")
    });
    (is_number && !is_opened).then(|| token.end - 1..token.end)
}

/// A run of asterisks in a word.
struct AsteriskRun {
    range: Range<usize>,
    before: Option<char>,
    after: Option<char>,
}

fn asterisks(source: &str, token: Range<usize>) -> Vec<Range<usize>> {
    let word = &source[token.clone()];
    let runs = runs(word);
    let is_edge = |char: char| !char.is_alphanumeric() && !matches!(char, '*' | '/' | ')' | '(' | '[' | ']');
    let lead = word.trim_start_matches(|char| is_edge(char) || char == '(');
    let lead = lead.len() - lead.trim_start_matches('*').len();
    let trail = word.trim_end_matches(|char| is_edge(char) || char == ')');
    let trail = trail.len() - trail.trim_end_matches('*').len();
    // What opens or closes the word is emphasis, and so may be its like inside.
    let inner: Vec<&AsteriskRun> =
        runs.iter().filter(|run| run.range.len() != lead && run.range.len() != trail).collect();
    let is_product = inner.iter().all(|run| run.joins())
        && (inner.iter().any(|run| run.joins_numbers(word)) || is_of_names(word, &inner));
    let is_bold_path = lead > 0 && lead == trail;
    let in_path = |run: &&AsteriskRun| !is_bold_path && run.is_wildcard(runs.len());
    let hidden = if is_product { inner } else { runs.iter().filter(in_path).collect() };
    hidden.iter().map(|run| token.start + run.range.start..token.start + run.range.end).collect()
}

/// A shorter word beside longer ones is mostly a part of a word, as `un` is in `un*frigging*believable`.
const SHORTEST_NAME: usize = 3;

/// Names of two letters that are multiplied, and hardly ever a syllable.
const SHORT_NAMES: [&str; 7] = ["pi", "dr", "ds", "dt", "dx", "dy", "dz"];

/// Whether an operand is a name wherever it stands.
fn is_name(operand: &str) -> bool {
    operand.chars().count() >= SHORTEST_NAME
        || SHORT_NAMES.iter().any(|name| name.eq_ignore_ascii_case(operand))
        || operand.contains(|char: char| char.is_ascii_digit())
}

/// Whether an operand is a name at an end of a product: what has no vowel is no syllable, as `px` is none.
fn is_name_at_end(operand: &str) -> bool {
    let is_vowel = |char: char| !char.is_ascii_alphabetic() || "aeiouyAEIOUY".contains(char);
    operand.chars().count() == 1 || is_name(operand) || (!operand.is_empty() && !operand.contains(is_vowel))
}

/// Whether the operands are names, as in `width*height*depth`. A letter alone is a name at the ends of a product; between two words it is
/// a letter that is pointed out, as in `sep*a*rate`.
fn is_of_names(word: &str, runs: &[&AsteriskRun]) -> bool {
    let is_sign = |char: char| !char.is_alphanumeric() && char != '_';
    let mut ends = Vec::with_capacity(2);
    let mut inner = Vec::with_capacity(runs.len());
    for (at, run) in runs.iter().enumerate() {
        if run.range.len() > 1 {
            return false;
        }
        let left = word[..run.range.start].rsplit(is_sign).next().unwrap_or_default();
        let right = word[run.range.end..].split(is_sign).next().unwrap_or_default();
        if at == 0 {
            ends.push(left)
        } else {
            inner.push(left)
        }
        if at + 1 == runs.len() { ends.push(right) } else { inner.push(right) }
    }
    let are_names = inner.iter().all(|name| is_name(name)) && ends.iter().all(|name| is_name_at_end(name));
    let are_short = || inner.iter().chain(&ends).all(|operand| operand.chars().count() < SHORTEST_NAME);
    runs.len() > 1 && (are_names || are_short())
}

fn runs(word: &str) -> Vec<AsteriskRun> {
    let mut runs = Vec::new();
    let mut at = 0;
    while let Some(found) = word[at..].find('*') {
        let start = at + found;
        let end = start + (word.len() - start - word[start..].trim_start_matches('*').len());
        at = end;
        let before = word[..start].chars().next_back();
        if before == Some('\\') {
            continue;
        }
        runs.push(AsteriskRun { range: start..end, before, after: word[end..].chars().next() });
    }
    runs
}

impl AsteriskRun {
    /// Whether there is an operand on both sides.
    fn joins(&self) -> bool {
        // Where words have no blanks between them, an asterisk between two letters is emphasis.
        let is_letter = |char: char| char.is_alphanumeric() && char < '\u{2000}';
        self.before.is_some_and(|char| is_letter(char) || matches!(char, ')' | ']' | '}'))
            && self.after.is_some_and(|char| is_letter(char) || matches!(char, '(' | '[' | '{'))
            && self.range.len() <= 2
    }

    /// Whether it stands for a part of a path, as in `src/**/*.rs`.
    fn is_wildcard(&self, runs: usize) -> bool {
        match (self.before, self.after) {
            (Some('/'), after) => after.is_none_or(|char| !char.is_alphanumeric()),
            (None, Some('/')) => runs > 1,
            _ => false,
        }
    }

    /// Whether the operands are numbers, brackets or single letters: words of a language are not multiplied.
    fn joins_numbers(&self, word: &str) -> bool {
        let is_numeric = |char: Option<char>| {
            char.is_some_and(|char| char.is_ascii_digit() || matches!(char, '(' | ')' | '[' | ']'))
        };
        let is_lone = |next: Option<char>, beyond: Option<char>| {
            next.is_some_and(|char| char.is_alphabetic()) && beyond.is_none_or(|char| !char.is_alphanumeric())
        };
        let left = is_lone(self.before, word[..self.range.start].chars().rev().nth(1));
        let right = is_lone(self.after, word[self.range.end..].chars().nth(1));
        is_numeric(self.before) || is_numeric(self.after) || (left && right)
    }
}
