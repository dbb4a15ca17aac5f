//! The state machines of one stream: no clock, no I/O, no locks; `now` and outcomes are arguments. [`Pipeline`] is the whole; its
//! stages are plain structs in files of their own, called in order.

mod aggregator;
mod blocks;
mod classify;
mod collector;
mod digest;
mod event;
mod intake;
mod intakes;
mod lane;
mod limiter;
mod look;
pub mod outcome;
mod pipeline;
mod put;
mod report;
mod resharding;
mod retrier;
mod sampler;
mod sealed;
mod shard_map;
mod shard_map_refresh;
mod take_apart;
mod timers;
mod token_bucket;

pub use collector::{RequestId, Transmit};
pub use digest::key_digest;
pub use event::Event;
pub use intake::Intake;
pub use pipeline::Pipeline;
pub use put::{Hashed, Refusal};
pub use report::{Attempt, Report, ReportBatch};
pub use sealed::{Members, Token};
pub use shard_map::{ShardMap, ShardRange};
pub use take_apart::{Job, TakeApart, TakenApart};
