//! Arguments that are one of a few words: the help lists them, and whoever writes another word is told them.

use std::error::Error;
use std::str::FromStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use store::text_enum::{TextEnum, UnknownText};

/// One of an enum's texts.
pub(crate) fn text_of<T>() -> impl TypedValueParser<Value = T>
where
    T: TextEnum + FromStr<Err = UnknownText> + Send + Sync,
{
    one_of(with_meanings(T::MEANINGS.iter().copied()), T::from_str)
}

/// Words, each with what it means.
pub(crate) fn with_meanings(
    words: impl IntoIterator<Item = (&'static str, &'static str)>,
) -> impl Iterator<Item = PossibleValue> {
    words.into_iter().map(|(word, meaning)| PossibleValue::new(word).help(meaning))
}

/// One of these words.
pub(crate) fn one_of<T, E>(
    words: impl IntoIterator<Item = impl Into<PossibleValue>>,
    read: fn(&str) -> Result<T, E>,
) -> impl TypedValueParser<Value = T>
where
    T: Clone + Send + Sync + 'static,
    E: Error + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(move |word| read(&word))
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};
    use store::message_records::MessageState;

    use super::*;

    #[test]
    fn a_word_that_is_none_is_answered_with_all_of_them() {
        let state = one_of(with_meanings(MessageState::meanings()), str::parse::<MessageState>);
        let command = Command::new("list").arg(Arg::new("state").long("state").value_parser(state));

        let told = command.clone().try_get_matches_from(["list", "--state", "lost"]).unwrap_err().to_string();
        for (word, _) in MessageState::meanings() {
            assert!(told.contains(word), "{word} is not in {told}");
            let read = command.clone().try_get_matches_from(["list", "--state", word]).unwrap();
            assert_eq!(read.get_one::<MessageState>("state").unwrap().as_str(), word);
        }
    }
}
