//! The metrics as the `metrics` facade names them: what a recorder for Prometheus, OpenTelemetry or anything else is told. Names
//! are made from the KPL's as Prometheus wants them: counters end in `_total`, bytes and seconds are said. `forward` tells them.

use super::metric::{Metric, Unit};

/// What all names begin with.
const PREFIX: &str = "kinesis_producer_";

/// How values become a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values by size.
    Histogram,
}

impl Kind {
    /// Its name, as Prometheus writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A metric as a recorder sees it. All of its label sets have the same labels: where no shard is known, `shard` is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What its values count; milliseconds are told as seconds.
    pub unit: Unit,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells, in a sentence.
    pub description: &'static str,
}

impl Series {
    /// What becomes of a metric of the KPL's.
    #[must_use]
    pub fn of(metric: Metric) -> Series {
        let (kind, labels): (Kind, &[&str]) = match metric {
            Metric::UserRecordsReceived => (Kind::Counter, &["stream"]),
            Metric::UserRecordsPending => (Kind::Gauge, &["stream"]),
            Metric::UserRecordsPut | Metric::KinesisRecordsPut => (Kind::Counter, &["stream", "shard", "result"]),
            Metric::ErrorsByCode => (Kind::Counter, &["stream", "shard", "error_code"]),
            Metric::UserRecordsDataPut
            | Metric::KinesisRecordsDataPut
            | Metric::AllErrors
            | Metric::UserRecordExpired => (Kind::Counter, &["stream", "shard"]),
            Metric::RetriesPerRecord
            | Metric::BufferingTime
            | Metric::RequestTime
            | Metric::UserRecordsPerKinesisRecord
            | Metric::KinesisRecordsPerPutRecordsRequest
            | Metric::UserRecordsPerPutRecordsRequest => (Kind::Histogram, &["stream"]),
        };
        let suffix = match (kind, metric.unit()) {
            (Kind::Counter, Unit::Count) => "_total",
            (Kind::Counter, Unit::Bytes) => "_bytes_total",
            (Kind::Counter, Unit::Milliseconds) => "_seconds_total",
            (Kind::Gauge | Kind::Histogram, Unit::Count) => "",
            (Kind::Gauge | Kind::Histogram, Unit::Bytes) => "_bytes",
            (Kind::Gauge | Kind::Histogram, Unit::Milliseconds) => "_seconds",
        };
        let name = format!("{PREFIX}{}{suffix}", snake_case(metric.name()));
        // Of some the description tells how CloudWatch's statistics are to be read.
        let description = match metric {
            Metric::UserRecordsPending => "User records accepted and not decided yet.",
            Metric::UserRecordsPut => "User records decided.",
            Metric::KinesisRecordsPut => "Kinesis records answered.",
            Metric::AllErrors => "Errors of Kinesis records and of whole calls, whatever their code.",
            Metric::UserRecordsReceived
            | Metric::UserRecordsDataPut
            | Metric::KinesisRecordsDataPut
            | Metric::ErrorsByCode
            | Metric::RetriesPerRecord
            | Metric::UserRecordExpired
            | Metric::BufferingTime
            | Metric::RequestTime
            | Metric::UserRecordsPerKinesisRecord
            | Metric::KinesisRecordsPerPutRecordsRequest
            | Metric::UserRecordsPerPutRecordsRequest => metric.description(),
        };
        Series { name, kind, unit: metric.unit(), labels, description }
    }

    /// The time from put to report, which is no metric of the KPL's.
    #[must_use]
    pub fn total_time() -> Series {
        Series {
            name: format!("{PREFIX}total_time_seconds"),
            kind: Kind::Histogram,
            unit: Unit::Milliseconds,
            labels: &["stream"],
            description: "Time from the put of a user record until it was decided.",
        }
    }

    /// All that a recorder is told.
    pub fn all() -> impl Iterator<Item = Series> {
        Metric::ALL.iter().copied().map(Series::of).chain([Series::total_time()])
    }
}

fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_prometheus_names_and_each_is_there_once() {
        let names: Vec<String> = Series::all().map(|series| series.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for name in &names {
            assert!(name.starts_with(PREFIX), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(!name.contains("__") && !name.ends_with('_'), "{name}");
            // These are what a histogram appends.
            assert!(["_bucket", "_sum", "_count"].iter().all(|end| !name.ends_with(end)), "{name}");
        }
    }

    #[test]
    fn names_say_kind_and_unit() {
        let name = |metric| Series::of(metric).name;
        assert_eq!(name(Metric::UserRecordsPut), "kinesis_producer_user_records_put_total");
        assert_eq!(name(Metric::UserRecordsPending), "kinesis_producer_user_records_pending");
        assert_eq!(name(Metric::KinesisRecordsDataPut), "kinesis_producer_kinesis_records_data_put_bytes_total");
        assert_eq!(name(Metric::BufferingTime), "kinesis_producer_buffering_time_seconds");
        for series in Series::all() {
            assert_eq!(series.name.ends_with("_total"), series.kind == Kind::Counter, "{}", series.name);
        }
    }
}
