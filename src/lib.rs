//! The Amazon Kinesis Producer Library as one in-process library.

pub mod config;
pub mod core;
pub mod error;
#[cfg(feature = "local")]
pub mod local;
pub mod metrics;
pub mod record;
pub mod runtime;
pub mod time;
pub mod wire;
