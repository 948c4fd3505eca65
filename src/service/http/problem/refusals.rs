//! What the rules refuse, each as a status and words.

use channel::administration::deliveries::ListError;
use channel::administration::pauses::PauseError;
use channel::administration::resends::ResendError;
use channel::administration::users::UserSearchError;
use channel::cells::CellError;
use channel::conversation::dashboard::WriteRefusal;
use channel::conversation::takeovers::TakeoverError;
use channel::inbound::claims::ClaimRefusal;
use channel::schedules::firing::FireError;
use channel::schedules::zones::UnknownZone;
use channel::write_error::WriteError;
use queue::enqueue::EnqueueError;
use queue::run_now::RunNowError;
use store::claim_tokens::TokenEnding;

use super::Problem;
use crate::schedules::files::FileError;
use crate::schedules::switching::SwitchError;

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Database(error) => error.into(),
            WriteError::Enqueue(EnqueueError::Database(error)) => error.into(),
            WriteError::Enqueue(error) => Self::ours(&sqlx::Error::Protocol(error.to_string())),
        }
    }
}

impl From<WriteRefusal> for Problem {
    fn from(refusal: WriteRefusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            WriteRefusal::Blank | WriteRefusal::TooLong => Self::invalid(format!("text: {detail}")),
            WriteRefusal::Paused => {
                Self::conflict("paused", format!("{detail}; PUT /v1/users/{{user}} lifts that"))
            }
            WriteRefusal::KeyUsed => Self::invalid(format!("Idempotency-Key: {detail}")),
            WriteRefusal::Write(error) => error.into(),
        }
    }
}

impl From<ClaimRefusal> for Problem {
    fn from(refusal: ClaimRefusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            ClaimRefusal::Disabled => Self::forbidden("disabled", detail),
            ClaimRefusal::Plan(_) => Self::forbidden("plan", detail),
            ClaimRefusal::LinkedElsewhere => Self::conflict(
                TokenEnding::NumberLinkedElsewhere.as_str(),
                format!(
                    "{detail}: ask again with \"replace\": true to move it, or with false to claim another phone"
                ),
            ),
            ClaimRefusal::Unknown => Self::no_such_user(),
            ClaimRefusal::Database(error) => error.into(),
        }
    }
}

impl From<UnknownZone> for Problem {
    fn from(unknown: UnknownZone) -> Self {
        Self::invalid(format!("timezone: {unknown}"))
    }
}

impl From<PauseError> for Problem {
    fn from(error: PauseError) -> Self {
        let detail = error.to_string();
        match error {
            PauseError::Unknown { known, .. } => Self { known: known.into(), ..Self::not_found(detail) },
            PauseError::Database(error) => error.into(),
        }
    }
}

impl From<RunNowError> for Problem {
    fn from(error: RunNowError) -> Self {
        let detail = error.to_string();
        match error {
            RunNowError::Unknown(_) => Self::not_found(detail),
            RunNowError::NotScheduled { .. } => Self::conflict("not_scheduled", detail),
            RunNowError::Database(error) => error.into(),
        }
    }
}

impl From<CellError> for Problem {
    fn from(error: CellError) -> Self {
        let detail = error.to_string();
        match error {
            CellError::Elsewhere { cell, .. } => {
                Self { cell: Some(cell.into()), ..Self::misdirected(detail).with_code("other_cell") }
            }
            CellError::Database(error) => error.into(),
        }
    }
}

impl From<TakeoverError> for Problem {
    fn from(error: TakeoverError) -> Self {
        let detail = error.to_string();
        match error {
            TakeoverError::NoConversation(_) => Self::not_found(detail),
            TakeoverError::NotTakenOver(_) => Self::conflict("not_taken_over", detail),
            TakeoverError::OtherText => Self::invalid(detail),
            TakeoverError::Text(refusal) => refusal.into(),
            TakeoverError::Write(error) => error.into(),
        }
    }
}

impl From<UserSearchError> for Problem {
    fn from(error: UserSearchError) -> Self {
        match error {
            UserSearchError::Several | UserSearchError::Phone(_) => Self::invalid(error.to_string()),
            UserSearchError::Database(error) => error.into(),
        }
    }
}

impl From<ListError> for Problem {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Person(error) => Self::invalid(error.to_string()),
            ListError::Database(error) => error.into(),
        }
    }
}

impl From<ResendError> for Problem {
    fn from(error: ResendError) -> Self {
        match error {
            ResendError::Everything | ResendError::Arrived => Self::invalid(error.to_string()),
            ResendError::List(error) => error.into(),
        }
    }
}

impl From<SwitchError> for Problem {
    fn from(error: SwitchError) -> Self {
        let detail = error.to_string();
        match error {
            SwitchError::Unknown { known, .. } => Self { known: known.into(), ..Self::not_found(detail) },
            SwitchError::NoUser(_) => Self::not_found(detail),
            SwitchError::Cell(error) => error.into(),
            SwitchError::UnexpectedNumber { expected, fitting } => {
                Self { detail, ..Self::unexpected_number(expected, fitting.people) }
            }
            SwitchError::Fire(FireError::Definition(_)) => Self::conflict("unreadable_definition", detail),
            SwitchError::Fire(FireError::Database(error)) | SwitchError::Database(error) => error.into(),
            SwitchError::Fire(FireError::Enqueue(error)) => WriteError::Enqueue(error).into(),
        }
    }
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        let detail = error.to_string();
        match error {
            FileError::Unknown { known, .. } => Self { known: known.into(), ..Self::not_found(detail) },
            FileError::Wrong(errors) => Self { errors, ..Self::conflict("wrong_file", detail) },
            FileError::Unreadable(_) => Self::conflict("unreadable_folder", detail),
        }
    }
}
