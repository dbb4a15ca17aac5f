//! The state machines of one stream: no clock, no I/O, no locks; `now` and outcomes are arguments.

pub mod outcome;
