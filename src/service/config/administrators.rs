//! Who administrates: `CLOUDYBOT_ADMIN_TOKEN` holds a token for each, with a name and a right, or one token for all.

use std::sync::Arc;

use secrecy::SecretString;

/// Who administrates, as actions are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Administrator {
    /// By which rows of the audit name them.
    pub(crate) name: Arc<str>,
    /// False: they may only look.
    pub(crate) may_act: bool,
}

impl Administrator {
    /// Who holds a token that stands there without a name.
    pub(crate) fn unnamed() -> Self {
        Self { name: "administrator".into(), may_act: true }
    }
}

/// A token, and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct AdministratorToken {
    pub(crate) whose: Administrator,
    pub(crate) token: SecretString,
}

/// Reads `token`, or `name:act:token` and `name:view:token` with commas between.
pub(super) fn read(text: &str) -> Result<Vec<AdministratorToken>, String> {
    let entries: Vec<&str> = text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
    let mut tokens: Vec<AdministratorToken> = Vec::with_capacity(entries.len());
    for (place, entry) in (1..).zip(entries) {
        let token = match entry.splitn(3, ':').collect::<Vec<_>>()[..] {
            [token] => AdministratorToken { whose: Administrator::unnamed(), token: token.into() },
            [name, right @ ("act" | "view"), token] if is_name(name) && !token.is_empty() => {
                AdministratorToken {
                    whose: Administrator { name: name.into(), may_act: right == "act" },
                    token: token.into(),
                }
            }
            _ => {
                return Err(format!(
                    "CLOUDYBOT_ADMIN_TOKEN: entry {place} is neither a token nor NAME:act:TOKEN or NAME:view:TOKEN; a name has 1 to 40 letters, digits, `.`, `-`, `_` or `@`"
                ));
            }
        };
        if tokens.iter().any(|other| other.whose.name == token.whose.name) {
            return Err(format!(
                "CLOUDYBOT_ADMIN_TOKEN: two tokens are {}'s; give each administrator a name and one token",
                token.whose.name
            ));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_@".contains(&byte))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_token_is_everybodys_or_somebodys() {
        let bare = read("a-bare-token").unwrap();
        assert_eq!(bare[0].whose, Administrator::unnamed());
        let named = read("dana:act:t:1, max@example.com:view:t2,").unwrap();
        let shown: Vec<_> = named
            .iter()
            .map(|token| (&*token.whose.name, token.whose.may_act, token.token.expose_secret()))
            .collect();
        assert_eq!(shown, [("dana", true, "t:1"), ("max@example.com", false, "t2")]);
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn what_is_neither_is_refused_without_being_shown() {
        for text in
            ["dana:secret-1", "dana:rule:secret-1", ":act:secret-1", "da na:act:secret-1", "dana:act:"]
        {
            let error = read(text).unwrap_err();
            assert!(error.contains("entry 1") && !error.contains("secret-1"), "{error}");
        }
        assert!(read("dana:act:one,dana:view:two").unwrap_err().contains("two tokens are dana's"));
    }
}
