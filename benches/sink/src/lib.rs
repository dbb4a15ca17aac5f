//! The far end of the benches and the fault tests: a sink that speaks enough of the Kinesis API to take PutRecords fast,
//! misbehaves when told to, and checks what arrived as a KCL consumer would see it. It is a program (`main.rs`) and, for
//! integration tests, a [`Sink`] in their own process. It keeps no data, checks no credentials, and serves no reads.

mod check;
mod clock;
mod control;
mod deaggregate;
mod faults;
mod options;
mod protocol;
mod server;
mod sink;
mod statistics;
mod stream;
mod tls;
mod world;

pub use faults::{Faults, Window};
pub use options::Options;
pub use sink::{Error, Sink};
pub use statistics::{CheckStatistics, ShardStatistics, Sizes, Statistics};
