// The README is the front page. Its first example needs the embedded service.
#![cfg_attr(feature = "local", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "local"), doc = "The Amazon Kinesis Producer Library as one in-process library.")]

pub mod blocking;
pub mod config;
#[doc(hidden)]
pub mod core;
pub mod error;
#[cfg(feature = "local")]
pub mod local;
pub mod metrics;
mod producer;
mod record;
#[doc(hidden)]
pub mod runtime;
#[doc(hidden)]
pub mod time;
pub mod wire;

pub use config::Config;
pub use core::{Attempt, Report};
pub use error::{Error, Failure, PutError};
pub use metrics::Counters;
pub use producer::{Outstanding, Producer, ProducerBuilder, PutMany, Stream};
pub use record::{HashKey, SequenceNumber, ShardId, Stored, UserRecord};
pub use runtime::{ReportMode, Reports, Ticket};

pub mod transport {
    //! The seam between a producer and the service, for tests and benches that bring their own.

    pub use crate::core::outcome::{
        CallFailure, EntryOutcome, ListShardsOutcome, PutRecordsOutcome, Shard, ShardPage, code,
    };
    pub use crate::runtime::transport::{Request, Response, Transport};
}
