//! How a state is to be taken: well, amiss, or worth a look.

use queue::job_state::JobState;
use store::chunks::ChunkState;
use store::deliveries::DeliveryState;
use store::turns::TurnState;
use store::twilio_statuses::TwilioStatus;

use super::parts::Tone;

/// A state that has a tone.
pub(super) trait Toned {
    /// Its tone.
    fn tone(self) -> Tone;
}

impl Toned for JobState {
    fn tone(self) -> Tone {
        match self {
            Self::Done => Tone::Good,
            Self::Dead => Tone::Bad,
            Self::Cancelled => Tone::Warn,
            Self::Held | Self::Scheduled | Self::Parked | Self::Waiting | Self::Running => Tone::Plain,
        }
    }
}

impl Toned for DeliveryState {
    fn tone(self) -> Tone {
        match self {
            Self::Sent | Self::Delivered => Tone::Good,
            Self::Failed => Tone::Bad,
            Self::Cancelled | Self::Blocked | Self::Expired | Self::Unknown => Tone::Warn,
            Self::Waiting | Self::Open => Tone::Plain,
        }
    }
}

impl Toned for ChunkState {
    fn tone(self) -> Tone {
        match self {
            Self::Sent | Self::Delivered | Self::Read => Tone::Good,
            Self::Failed => Tone::Bad,
            Self::Sending | Self::Cancelled | Self::Blocked | Self::Expired | Self::Unknown => Tone::Warn,
            Self::Planned | Self::Accepted => Tone::Plain,
        }
    }
}

impl Toned for TurnState {
    fn tone(self) -> Tone {
        match self {
            Self::Replied => Tone::Good,
            Self::Failed => Tone::Bad,
            Self::Running | Self::Silent => Tone::Plain,
        }
    }
}

impl Toned for TwilioStatus {
    fn tone(self) -> Tone {
        if self.is_failure() { Tone::Bad } else { Tone::Good }
    }
}
