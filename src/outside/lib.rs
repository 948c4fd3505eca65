//! What all ways out must know of the world. It knows none of them.

/// Which addresses belong to the internet at large.
pub mod address;
/// What may be kept of somebody else's words.
pub mod words;
