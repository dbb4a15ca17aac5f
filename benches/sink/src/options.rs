//! What a sink is started with. The flags of the program and the argument of [`crate::Sink::start`] are the same struct.

use std::net::SocketAddr;

use crate::faults::Faults;

/// Everything that is fixed at the start; [`Faults`] may be changed later.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Open shards of a stream when it is first named.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub shards: u32,
    /// Serve TLS with a certificate for localhost, 127.0.0.1 and ::1, signed by a CA made at the start.
    #[arg(long)]
    pub tls: bool,
    /// Speak HTTP/1.1 only.
    #[arg(long, conflicts_with = "h2_only")]
    pub h1_only: bool,
    /// Speak HTTP/2 only.
    #[arg(long)]
    pub h2_only: bool,
    /// Take every user record apart and check loss, duplicates, order and range.
    #[arg(long)]
    pub check: bool,
    /// Threads that serve.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// Seed of every random decision.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Shards on one page of ListShards, at most.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub list_shards_page: u32,
    /// Largest Kinesis record, data and partition key together.
    #[arg(long, default_value_t = 10 << 20)]
    pub max_record_bytes: usize,
    /// What goes wrong from the start.
    #[command(flatten)]
    pub faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            shards: 4,
            tls: false,
            h1_only: false,
            h2_only: false,
            check: false,
            threads: 1,
            seed: 1,
            list_shards_page: 1000,
            max_record_bytes: 10 << 20,
            faults: Faults::default(),
        }
    }
}
