//! Pairs of what an agent wrote and what a person shall read, and what holds for every text.

mod pairs;
mod properties;
