//! Whether a secret could be guessed.

/// A secret of fewer characters can be tried out.
const LEAST: usize = 24;

/// One of fewer different characters was typed and not drawn.
const LEAST_DIFFERENT: usize = 8;

/// What is wrong with a secret that could be guessed; nothing is said of an empty one. The secret itself is never told.
pub(super) fn weakness(name: &str, secret: &str) -> Option<String> {
    let length = secret.chars().count();
    let mut characters: Vec<char> = secret.chars().collect();
    characters.sort_unstable();
    characters.dedup();
    let why = if length == 0 {
        return None;
    } else if length < LEAST {
        format!("has {length} characters; it must have at least {LEAST}")
    } else if characters.len() < LEAST_DIFFERENT {
        format!("has {} different characters; it must have at least {LEAST_DIFFERENT}", characters.len())
    } else {
        return None;
    };
    Some(format!("{name} {why}, or it could be guessed: `openssl rand -base64 32` makes a good one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_dull_secrets_are_told_without_being_shown() {
        for (secret, told) in [
            ("", None),
            ("a", Some("1 characters")),
            ("twenty-three-characters", Some("23 characters")),
            ("abababababababababababababab", Some("2 different")),
            ("WJvS2bUQpU9nXl0Gq3mEoA7t", None),
            ("ключ-из-двадцати-четырёх-знаков", None),
        ] {
            let weakness = weakness("CLOUDYBOT_API_TOKEN", secret);

            match (told, &weakness) {
                (None, weakness) => assert_eq!(weakness, &None, "{secret}"),
                (Some(told), Some(weakness)) => {
                    assert!(weakness.contains(told) && !weakness.contains("twenty"), "{weakness}");
                }
                (Some(told), None) => panic!("{secret:?} was taken, though it has {told}"),
            }
        }
    }
}
