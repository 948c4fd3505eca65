//! Where a chunk stands in a list: a page's end, and the beginning of the next one.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::ids::DeliveryId;

/// Where a chunk stands among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkPlace {
    /// Its delivery.
    pub delivery: DeliveryId,
    /// Its place there, from 0.
    pub index: i32,
}

/// A text that is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has to be `next` of the page before")]
pub struct InvalidPlace;

impl fmt::Display for ChunkPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.delivery, self.index)
    }
}

impl FromStr for ChunkPlace {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let (delivery, index) = text.split_once('.').ok_or(InvalidPlace)?;
        let (delivery, index) = (delivery.parse::<Uuid>(), index.parse::<u16>());
        let (Ok(delivery), Ok(index)) = (delivery, index) else { return Err(InvalidPlace) };
        Ok(Self { delivery: DeliveryId(delivery), index: index.into() })
    }
}
