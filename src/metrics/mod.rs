//! Plain counters, kept where things happen and read as a whole.

mod counters;

pub use counters::Counters;
