//! A piece of an expression that knows where it stands.

/// Some of an expression's text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    /// Its first byte in the expression.
    pub(super) at: usize,
}

impl<'a> Part<'a> {
    /// What stands between the signs.
    pub(super) fn split(self, sign: char) -> impl Iterator<Item = Self> {
        let mut at = self.at;
        self.text.split(sign).map(move |text| {
            let part = Self { text, at };
            at += text.len() + sign.len_utf8();
            part
        })
    }

    /// What stands before the first sign and what behind it.
    pub(super) fn split_once(self, sign: char) -> Option<(Self, Self)> {
        let (before, behind) = self.text.split_once(sign)?;
        let at = self.at + before.len() + sign.len_utf8();
        Some((Self { text: before, at: self.at }, Self { text: behind, at }))
    }

    /// Without this letter, in either case, or sign at its beginning.
    pub(super) fn strip_prefix(self, prefix: char) -> Option<Self> {
        let first = self.text.chars().next().filter(|first| first.eq_ignore_ascii_case(&prefix))?;
        Some(Self { text: &self.text[first.len_utf8()..], at: self.at + first.len_utf8() })
    }

    /// Without this letter, in either case, or sign at its end.
    pub(super) fn strip_suffix(self, suffix: char) -> Option<Self> {
        let last = self.text.chars().next_back().filter(|last| last.eq_ignore_ascii_case(&suffix))?;
        Some(Self { text: &self.text[..self.text.len() - last.len_utf8()], at: self.at })
    }

    /// Whether it is a number.
    pub(super) fn is_number(self) -> bool {
        !self.text.is_empty() && self.text.bytes().all(|byte| byte.is_ascii_digit())
    }
}
