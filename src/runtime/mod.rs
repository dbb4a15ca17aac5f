//! Everything that touches the world: clock, tasks, locks, the AWS SDK.

pub mod aws;
pub mod transport;

pub use aws::AwsTransport;
