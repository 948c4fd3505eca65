//! A text as WhatsApp shows it: its signs become elements, and everything else is text.

/// The HTML of a text. Nothing of the text itself is HTML.
#[must_use]
pub fn html(text: &str) -> String {
    let mut html = Html::default();
    let mut rest = text;
    while let Some((before, fenced)) = rest.split_once("```") {
        let Some((code, after)) = fenced.split_once("```").filter(|(code, _)| !code.trim().is_empty()) else {
            break;
        };
        html.lines(before);
        html.element("code", |html| html.text(code));
        rest = after;
    }
    html.lines(rest);
    html.0
}

#[derive(Default)]
struct Html(String);

impl Html {
    /// Lists, quotes, and lines of text with their breaks.
    fn lines(&mut self, text: &str) {
        let mut open = "";
        for (number, line) in text.split('\n').enumerate() {
            let (list, content) = item(line);
            if list != open {
                self.close(open);
                self.open(list);
            } else if list == "blockquote" || (list.is_empty() && number > 0) {
                self.0.push('\n');
            }
            open = list;
            match list {
                "ul" | "ol" => self.element("li", |html| html.inline(content)),
                _ => self.inline(content),
            }
        }
        self.close(open);
    }

    /// Signs around words, and links.
    fn inline(&mut self, text: &str) {
        let mut previous = None;
        let mut at = 0;
        // Signs that close nowhere in the rest of the line: one look is enough for each.
        let mut unclosed = Vec::new();
        while let Some(sign) = text[at..].chars().next() {
            let rest = &text[at..];
            let begins = previous.is_none_or(|previous: char| !previous.is_alphanumeric());
            let read = match (begins.then(|| tag(sign)).flatten(), begins.then(|| link(rest)).flatten()) {
                (_, Some(link)) => {
                    self.link(link);
                    link.len()
                }
                (Some(_), None) if previous == Some(sign) || unclosed.contains(&sign) => self.sign(sign),
                (Some(tag), None) => match enclosed(&rest[1..], sign) {
                    Some(content) => {
                        self.element(tag, |html| match sign {
                            '`' => html.text(content),
                            _ => html.inline(content),
                        });
                        content.len() + 2
                    }
                    None => {
                        if !rest[1..].starts_with(|first: char| first.is_whitespace() || first == sign) {
                            unclosed.push(sign);
                        }
                        self.sign(sign)
                    }
                },
                (None, None) => self.sign(sign),
            };
            previous = text[at..at + read].chars().next_back();
            at += read;
        }
    }

    fn sign(&mut self, sign: char) -> usize {
        match sign {
            '&' => self.0.push_str("&amp;"),
            '<' => self.0.push_str("&lt;"),
            '>' => self.0.push_str("&gt;"),
            '"' => self.0.push_str("&quot;"),
            '\'' => self.0.push_str("&#39;"),
            _ => self.0.push(sign),
        }
        sign.len_utf8()
    }

    fn text(&mut self, text: &str) {
        for sign in text.chars() {
            self.sign(sign);
        }
    }

    fn link(&mut self, link: &str) {
        self.0.push_str("<a rel=\"noopener noreferrer\" target=\"_blank\" href=\"");
        self.text(link);
        self.0.push_str("\">");
        self.text(link);
        self.0.push_str("</a>");
    }

    fn element(&mut self, tag: &str, content: impl FnOnce(&mut Self)) {
        self.open(tag);
        content(self);
        self.close(tag);
    }

    fn open(&mut self, tag: &str) {
        if !tag.is_empty() {
            self.0.extend(["<", tag, ">"]);
        }
    }

    fn close(&mut self, tag: &str) {
        if !tag.is_empty() {
            self.0.extend(["</", tag, ">"]);
        }
    }
}

/// What kind of line this is, and what stands in it.
fn item(line: &str) -> (&'static str, &str) {
    if let Some(content) = line.strip_prefix("> ") {
        return ("blockquote", content);
    }
    if let Some(content) = line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")) {
        return ("ul", content);
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    match line[digits..].strip_prefix(". ") {
        Some(content) if (1..=3).contains(&digits) => ("ol", content),
        _ => ("", line),
    }
}

fn tag(sign: char) -> Option<&'static str> {
    match sign {
        '*' => Some("strong"),
        '_' => Some("em"),
        '~' => Some("s"),
        '`' => Some("code"),
        _ => None,
    }
}

/// The text before the closing sign: it begins and ends with no space, and no word goes on behind the sign.
fn enclosed(rest: &str, sign: char) -> Option<&str> {
    if rest.starts_with(|first: char| first.is_whitespace() || first == sign) {
        return None;
    }
    let ends = rest.match_indices(sign).map(|(end, _)| end);
    ends.filter(|end| *end > 0)
        .find(|end| {
            !rest[..*end].ends_with(char::is_whitespace)
                && !rest[end + 1..].starts_with(|next: char| next.is_alphanumeric())
        })
        .map(|end| &rest[..end])
}

/// The link that a text begins with. What ends a sentence ends the link, too.
fn link(rest: &str) -> Option<&str> {
    let scheme = ["https://", "http://"].into_iter().find(|scheme| rest.starts_with(scheme))?;
    let end = rest.find(|sign: char| sign.is_whitespace() || "<>\"`".contains(sign)).unwrap_or(rest.len());
    let link = rest[..end].trim_end_matches(|sign: char| ".,;:!?)'*_~".contains(sign));
    (link.len() > scheme.len()).then_some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_become_elements() {
        for (text, expected) in [
            ("*bold* _italic_ ~strike~", "<strong>bold</strong> <em>italic</em> <s>strike</s>"),
            ("*bold _and italic_*", "<strong>bold <em>and italic</em></strong>"),
            ("`code *x*`", "<code>code *x*</code>"),
            ("```let a = 1;\n*b*```", "<code>let a = 1;\n*b*</code>"),
            ("2*3*4 and snake_case_name", "2*3*4 and snake_case_name"),
            ("* not bold *", "<ul><li>not bold *</li></ul>"),
            ("a ** b", "a ** b"),
            ("- one\n- two\nend", "<ul><li>one</li><li>two</li></ul>end"),
            ("1. one\n2. two", "<ol><li>one</li><li>two</li></ol>"),
            ("> said\nheard", "<blockquote>said</blockquote>heard"),
            ("one\ntwo", "one\ntwo"),
            ("an open ``` fence", "an open ``` fence"),
        ] {
            assert_eq!(html(text), expected, "{text}");
        }
    }

    #[test]
    fn links_end_where_sentences_do() {
        let link = |address: &str| {
            format!("<a rel=\"noopener noreferrer\" target=\"_blank\" href=\"{address}\">{address}</a>")
        };

        assert_eq!(
            html("see https://a.example/x_y_z?q=1."),
            format!("see {}.", link("https://a.example/x_y_z?q=1"))
        );
        assert_eq!(html("*https://a.example*"), format!("<strong>{}</strong>", link("https://a.example")));
        assert_eq!(html("javascript:alert(1) xhttps://a"), "javascript:alert(1) xhttps://a");
    }

    #[test]
    fn nothing_of_a_text_is_html() {
        for text in [
            "<script>alert(1)</script>",
            "\"><img src=x onerror=alert(1)>",
            "*<script>alert(1)</script>*",
            "```<script>```",
            "> <script>\n- <img src=x>\n1. \"><img src=x>",
            "https://a.example/\"onmouseover=alert(1)",
            "https://a.example/<script>",
            "`\"><img src=x>`",
        ] {
            let html = html(text);
            assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
            assert!(!html.contains("\"onmouseover"), "{html}");
        }
    }

    #[test]
    fn a_very_long_text_is_read_once_for_each_sign() {
        let text = "*a _b ~c `d ".repeat(100_000);

        // A look at the rest of the text for each sign would take hours.
        assert_eq!(html(&text), text);
    }
}
