//! Mathematics between `\(…\)`, `\[…\]`, `$$…$$` and `$…$`: WhatsApp shows none, so it is written as a line of text. Money is none.

use std::borrow::Cow;
use std::ops::Range;

use crate::masking;

/// Longer mathematics is none: an opening sign that was never closed.
const LONGEST_BYTES: usize = 2000;

/// The mathematics that begins at `at`, and what stands between its signs.
pub(crate) fn at(source: &str, at: usize) -> Option<(Range<usize>, Range<usize>)> {
    let rest = &source[at..];
    let (open, close) = ["\\(", "\\[", "$$", "$"]
        .into_iter()
        .zip(["\\)", "\\]", "$$", "$"])
        .find(|(open, _)| rest.starts_with(open))?;
    let body = masking::head(&rest[open.len()..], LONGEST_BYTES);
    let length = body.find(close)?;
    let content = &body[..length];
    if content.trim().is_empty() || content.contains('`') || content.contains("\n\n") {
        return None;
    }
    let after = &body[length + close.len()..];
    let holds = match open {
        "$" => is_inline(source[..at].chars().next_back(), content, after),
        "$$" => true,
        _ => is_mathematical(content),
    };
    let start = at + open.len();
    holds.then(|| (at..start + length + close.len(), start..start + length))
}

/// Whether `$…$` is mathematics and no two prices or variables of a shell.
fn is_inline(before: Option<char>, content: &str, after: &str) -> bool {
    let is_closed = |char: char| char.is_alphanumeric() || char == '$';
    let touches = content.starts_with(char::is_whitespace) || content.ends_with(char::is_whitespace);
    if touches || content.contains('\n') || before.is_some_and(is_closed) || after.starts_with(is_closed) {
        return false;
    }
    let is_price = content.starts_with(|char: char| char.is_ascii_digit());
    is_mathematical(content) && (!is_price || content.contains(['\\', '^', '=']))
}

/// Whether a text has what formulas have; words in escaped brackets have not.
fn is_mathematical(content: &str) -> bool {
    let content = content.trim();
    content.contains(['\\', '^', '_', '=', '+', '<', '>', '*', '/', '|'])
        || content.chars().nth(2).is_none()
        || content.chars().all(|char| !char.is_alphabetic())
}

/// Mathematics as text: symbols for the commonest commands, everything else as it was written.
pub(crate) fn as_text(content: &str) -> Cow<'_, str> {
    let content = content.trim();
    if !content.contains('\\') {
        return Cow::Borrowed(content);
    }
    let mut text = String::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let name = &rest[at + 1..];
        let length = name.find(|char: char| !char.is_ascii_alphabetic()).unwrap_or(name.len());
        let (name, after) = name.split_at(length);
        let (symbol, left) = translate(name, after);
        text.push_str(&symbol);
        rest = left;
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// What a command stands for, and what is left behind it.
fn translate<'a>(name: &'a str, after: &'a str) -> (Cow<'a, str>, &'a str) {
    if let Some((_, symbol)) = SYMBOLS.iter().find(|(command, _)| *command == name) {
        // The blank that ends a command is none of the formula, unless words follow.
        return (Cow::Borrowed(symbol), after);
    }
    match name {
        "left" | "right" | "displaystyle" => (Cow::Borrowed(""), after),
        "text" | "mathrm" | "mathbf" | "operatorname" => match argument(after) {
            Some((inner, left)) => (Cow::Borrowed(inner), left),
            None => (Cow::Owned(format!("\\{name}")), after),
        },
        "sqrt" => match argument(after) {
            Some((inner, left)) => (Cow::Owned(format!("√{}", grouped(inner))), left),
            None => (Cow::Borrowed("\\sqrt"), after),
        },
        "frac" | "dfrac" | "tfrac" => {
            let both = argument(after).and_then(|(above, left)| Some((above, argument(left)?)));
            match both {
                Some((above, (below, left))) => {
                    (Cow::Owned(format!("{}/{}", grouped(above), grouped(below))), left)
                }
                None => (Cow::Owned(format!("\\{name}")), after),
            }
        }
        // A thin space, a line break, an escaped sign.
        "" => match after.chars().next() {
            Some(',' | ';' | ':' | ' ' | '!') => (Cow::Borrowed(" "), &after[1..]),
            Some(sign @ ('%' | '$' | '&' | '#' | '_' | '{' | '}')) => {
                (Cow::Owned(sign.to_string()), &after[1..])
            }
            _ => (Cow::Borrowed("\\"), after),
        },
        _ => (Cow::Owned(format!("\\{name}")), after),
    }
}

/// What stands in braces at the begin of a text, without commands of its own, and what follows.
fn argument(text: &str) -> Option<(&str, &str)> {
    let (inner, left) = text.strip_prefix('{')?.split_once('}')?;
    (!inner.contains(['{', '\\'])).then_some((inner, left))
}

fn grouped(inner: &str) -> Cow<'_, str> {
    let is_simple = inner.chars().all(|char| char.is_alphanumeric() || char == '.');
    if is_simple { Cow::Borrowed(inner) } else { Cow::Owned(format!("({inner})")) }
}

const SYMBOLS: &[(&str, &str)] = &[
    ("times", "×"),
    ("cdot", "·"),
    ("div", "÷"),
    ("pm", "±"),
    ("le", "≤"),
    ("leq", "≤"),
    ("ge", "≥"),
    ("geq", "≥"),
    ("ne", "≠"),
    ("neq", "≠"),
    ("approx", "≈"),
    ("equiv", "≡"),
    ("sim", "∼"),
    ("propto", "∝"),
    ("infty", "∞"),
    ("to", "→"),
    ("rightarrow", "→"),
    ("leftarrow", "←"),
    ("Rightarrow", "⇒"),
    ("implies", "⇒"),
    ("iff", "⇔"),
    ("in", "∈"),
    ("notin", "∉"),
    ("subset", "⊂"),
    ("cup", "∪"),
    ("cap", "∩"),
    ("forall", "∀"),
    ("exists", "∃"),
    ("sum", "∑"),
    ("prod", "∏"),
    ("int", "∫"),
    ("partial", "∂"),
    ("nabla", "∇"),
    ("circ", "°"),
    ("degree", "°"),
    ("ldots", "…"),
    ("cdots", "…"),
    ("dots", "…"),
    ("alpha", "α"),
    ("beta", "β"),
    ("gamma", "γ"),
    ("delta", "δ"),
    ("epsilon", "ε"),
    ("varepsilon", "ε"),
    ("eta", "η"),
    ("theta", "θ"),
    ("kappa", "κ"),
    ("lambda", "λ"),
    ("mu", "μ"),
    ("nu", "ν"),
    ("xi", "ξ"),
    ("pi", "π"),
    ("rho", "ρ"),
    ("sigma", "σ"),
    ("tau", "τ"),
    ("phi", "φ"),
    ("varphi", "φ"),
    ("chi", "χ"),
    ("psi", "ψ"),
    ("omega", "ω"),
    ("Gamma", "Γ"),
    ("Delta", "Δ"),
    ("Theta", "Θ"),
    ("Lambda", "Λ"),
    ("Pi", "Π"),
    ("Sigma", "Σ"),
    ("Phi", "Φ"),
    ("Psi", "Ψ"),
    ("Omega", "Ω"),
    ("quad", "  "),
];
