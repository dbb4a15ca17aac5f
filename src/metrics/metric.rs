//! The KPL's metrics: one table of names, units, levels and how finely each is divided (metrics_constants.cc, and "Monitoring the
//! KPL with Amazon CloudWatch" in the Kinesis developer guide). Dashboards and alarms depend on every word of it.

use std::fmt;

use crate::config::{MetricsGranularity, MetricsLevel};
use crate::error::{Error, ErrorKind};

/// What a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
}

impl Unit {
    /// CloudWatch's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Unit::Count => "Count",
            Unit::Bytes => "Bytes",
            Unit::Milliseconds => "Milliseconds",
        }
    }
}

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $name:ident, $level:ident, $unit:ident, $granularity:ident;)+) => {
        /// A metric of the KPL.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Metric {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Metric {
            /// All of them.
            pub const ALL: &[Metric] = &[$(Metric::$name,)+];

            /// Its name in CloudWatch.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Metric::$name => stringify!($name),)+ }
            }

            /// What a value of it counts.
            #[must_use]
            pub fn unit(self) -> Unit {
                match self { $(Metric::$name => Unit::$unit,)+ }
            }

            /// The lowest `metrics_level` at which it is uploaded.
            #[must_use]
            pub fn level(self) -> MetricsLevel {
                match self { $(Metric::$name => MetricsLevel::$level,)+ }
            }

            /// How finely it is divided at most.
            #[must_use]
            pub fn granularity(self) -> MetricsGranularity {
                match self { $(Metric::$name => MetricsGranularity::$granularity,)+ }
            }

            /// What it tells, in a sentence.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self { $(Metric::$name => concat!($($doc),+).trim_ascii_start(),)+ }
            }
        }
    };
}

metrics! {
    /// User records accepted.
    UserRecordsReceived, Detailed, Count, Stream;
    /// User records accepted and not decided yet, looked at every 200 ms.
    UserRecordsPending, Detailed, Count, Stream;
    /// User records decided: 1 if stored, 0 if not, so that the average is the success rate.
    UserRecordsPut, Summary, Count, Shard;
    /// Bytes of the data of the user records stored.
    UserRecordsDataPut, Detailed, Bytes, Shard;
    /// Kinesis records answered: 1 if stored, 0 if not.
    KinesisRecordsPut, Summary, Count, Shard;
    /// Bytes of the Kinesis records stored, without their partition keys.
    KinesisRecordsDataPut, Detailed, Bytes, Shard;
    /// Errors of Kinesis records and of whole calls, by the service's code.
    ErrorsByCode, Summary, Count, Shard;
    /// The same whatever their code, and 0 for each Kinesis record stored, so that the average is the error rate.
    AllErrors, Summary, Count, Shard;
    /// Attempts of a user record beyond the first, when it is decided.
    RetriesPerRecord, Detailed, Count, Shard;
    /// User records given up because `record_ttl` passed.
    UserRecordExpired, Summary, Count, Shard;
    /// Time that a user record waited before each of its attempts, when it is decided.
    BufferingTime, Summary, Milliseconds, Shard;
    /// Time that a PutRecords call took.
    RequestTime, Detailed, Milliseconds, Stream;
    /// User records in each Kinesis record sent.
    UserRecordsPerKinesisRecord, Detailed, Count, Shard;
    /// Kinesis records in each PutRecords call.
    KinesisRecordsPerPutRecordsRequest, Detailed, Count, Stream;
    /// User records in each PutRecords call.
    UserRecordsPerPutRecordsRequest, Detailed, Count, Stream;
}

impl Metric {
    /// The metric of this name.
    ///
    /// # Errors
    /// `UnknownMetric`, naming all there are.
    pub fn from_name(name: &str) -> Result<Metric, Error> {
        Metric::ALL.iter().copied().find(|metric| metric.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
            let message = format!("metric {name:?} does not exist; there are {}", names.join(", "));
            Error::new(ErrorKind::UnknownMetric, message)
        })
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_found_by_its_name_and_no_other_is() {
        for metric in Metric::ALL {
            assert_eq!(Metric::from_name(metric.name()).unwrap(), *metric);
            assert!(metric.description().ends_with('.'));
        }
        let error = Metric::from_name("RecordsPut").unwrap_err();
        assert!(
            error.to_string().contains("\"RecordsPut\" does not exist; there are UserRecordsReceived, "),
            "{error}"
        );
    }
}
