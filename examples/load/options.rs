//! What the load generator can be told, and the producer's settings that follow from it.

use clap::{Parser, ValueEnum};
use kinesis_producer::config::Config;
use kinesis_producer::{Error, ReportMode};

use crate::payload::HEADER_BYTES;
use crate::support;

/// Puts user records into a stream and measures it. The last line of its output is one JSON object.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Options {
    /// The service's URL instead of AWS; region and credentials are then made up where there are none.
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
    /// The AWS region [default: the environment's; us-east-1 with --endpoint-url].
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// A PEM file of certificate authorities to trust besides the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<String>,
    /// The stream, which must exist.
    #[arg(long, default_value = "load")]
    pub(crate) stream: String,
    /// User records to put.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) records: u64,
    /// Bytes of each payload.
    #[arg(long, default_value_t = 100, value_parser = at_least_a_header)]
    pub(crate) size: usize,
    /// Different partition keys, or "unique": a new one for each user record.
    #[arg(long, default_value = "1000", value_parser = keys)]
    pub(crate) keys: Keys,
    /// User records outstanding at most: puts wait beyond it [default: the library's].
    #[arg(long, value_name = "RECORDS")]
    pub(crate) outstanding: Option<usize>,
    /// User records a second, of all threads together, each put alone at its moment [default: as many as go].
    #[arg(long, value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// The order that a shard's user records keep [default: the library's].
    #[arg(long, value_name = "none|shard")]
    pub(crate) ordering: Option<String>,
    /// Whether user records share Kinesis records [default: the library's].
    #[arg(long)]
    pub(crate) aggregation: Option<Switch>,
    /// How PutRecords bodies are written [default: the library's].
    #[arg(long, value_name = "cbor|json")]
    pub(crate) wire: Option<String>,
    /// How long a user record waits for others [default: the library's].
    #[arg(long, value_name = "MS")]
    pub(crate) buffered_ms: Option<u64>,
    /// When a user record is given up [default: the library's].
    #[arg(long, value_name = "MS")]
    pub(crate) ttl_ms: Option<u64>,
    /// Threads that put; each partition key is put by one of them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,
    /// The first four bytes of each payload.
    #[arg(long, default_value_t = 1)]
    pub(crate) producer_id: u32,
    /// How reports come: each by its ticket, from the queue, or only as counters.
    #[arg(long, default_value = "tickets")]
    pub(crate) report: ReportWay,
    /// Any other setting of the library; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) set: Vec<(String, String)>,
}

/// How many different partition keys there are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keys {
    /// So many.
    Some(u64),
    /// One for each user record.
    Unique,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

/// How reports come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportWay {
    Tickets,
    Poll,
    None,
}

impl Options {
    /// The producer's settings.
    ///
    /// # Errors
    /// `InvalidConfig` with what is wrong.
    pub(crate) fn config(&self) -> Result<Config, Error> {
        let mut config = support::service_config(self.endpoint_url.as_deref(), self.region.as_deref());
        let aggregation = self.aggregation.map(|switch| (switch == Switch::On).to_string());
        let given = [
            ("ca_cert_file", self.ca_file.clone()),
            ("max_outstanding_records", self.outstanding.map(|records| records.to_string())),
            ("ordering", self.ordering.clone()),
            ("aggregation_enabled", aggregation),
            ("wire_format", self.wire.clone()),
            ("record_max_buffered_time", self.buffered_ms.map(|ms| ms.to_string())),
            ("record_ttl", self.ttl_ms.map(|ms| ms.to_string())),
        ];
        for (key, value) in given {
            if let Some(value) = value {
                config.set(key, &value)?;
            }
        }
        for (key, value) in &self.set {
            config.set(key, value)?;
        }
        config.check()?;
        Ok(config)
    }

    /// How the producer is to report.
    pub(crate) fn report_mode(&self) -> ReportMode {
        match self.report {
            ReportWay::Tickets | ReportWay::None => ReportMode::Tickets,
            ReportWay::Poll => ReportMode::Queue,
        }
    }

    /// How many different partition keys there are.
    pub(crate) fn key_count(&self) -> u64 {
        match self.keys {
            Keys::Some(count) => count,
            Keys::Unique => self.records.max(1),
        }
    }
}

fn at_least_a_header(text: &str) -> Result<usize, String> {
    let size = text.parse().map_err(|_| "a number of bytes is expected".to_owned())?;
    if size < HEADER_BYTES {
        return Err(format!("{size} is below {HEADER_BYTES}: a payload begins with producer id and sequence number"));
    }
    Ok(size)
}

fn keys(text: &str) -> Result<Keys, String> {
    match (text, text.parse()) {
        ("unique", _) => Ok(Keys::Unique),
        (_, Ok(count)) if count > 0 => Ok(Keys::Some(count)),
        _ => Err("a number from 1, or \"unique\", is expected".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "user records a second above 0 are expected".to_owned())
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE is expected")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
