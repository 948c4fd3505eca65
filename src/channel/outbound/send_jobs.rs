//! The job that sends a chunk: its key, its lane and its pool.

use queue::job::NewJob;
use store::ids::AddressId;

use crate::kinds::SendChunk;
use crate::{lanes, pools};

/// The job of a chunk to a person. Replies and what is sent of our own accord have a lane and a pool each, so that no broadcast delays an answer.
#[must_use]
pub fn job(chunk: &SendChunk, of_own_accord: bool, address_id: AddressId) -> NewJob {
    let job = NewJob::of(chunk).unique_key(lanes::chunk_key(chunk.chunk));
    if of_own_accord {
        job.lane(lanes::proactive(address_id)).pool(pools::PROACTIVE)
    } else {
        job.lane(lanes::replies(address_id))
    }
}
