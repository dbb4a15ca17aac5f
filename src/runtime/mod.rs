//! Everything that touches the world: clock, tasks, locks, the AWS SDK. The core decides; this layer carries out.

pub mod aws;
mod budget;
mod clock;
mod driver;
mod keys;
mod log;
mod measure;
mod prepare;
mod producer;
mod put;
mod reports;
mod side;
#[cfg(unix)]
mod signal;
mod slots;
mod stream;
mod stripes;
#[cfg(test)]
mod tests;
pub mod transport;
#[cfg(feature = "cloudwatch")]
mod upload;
mod wait;
mod wake;
mod worker;

pub use aws::AwsTransport;
pub(crate) use clock::Clock;
pub(crate) use prepare::Prepared;
pub use producer::ReportMode;
pub(crate) use producer::{ProducerShared, Watcher};
pub use reports::Reports;
pub use slots::Ticket;
pub(crate) use stream::{Placed, StreamShared};
#[cfg(feature = "cloudwatch")]
pub(crate) use upload::UploadSettings;
pub(crate) use wait::wait;
pub(crate) use worker::Worker;
