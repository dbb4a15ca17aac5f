//! The metrics once more, counted by hand from what the caller and the service see: user record by user record, answer by answer.

use std::collections::BTreeMap;

use kinesis_producer::core::Report;
use kinesis_producer::core::outcome::{EntryOutcome, PutRecordsOutcome};
use kinesis_producer::error::Failure;
use kinesis_producer::metrics::{Metric, Reading};
use kinesis_producer::{ShardId, Stored};

use super::service::WireEntry;

/// Attempts that a report keeps; beyond that the waits between them are not known.
const KEPT: u32 = 30;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    sums: BTreeMap<Metric, (u64, f64)>,
    /// Of the shards that stored them.
    stored: BTreeMap<ShardId, (u64, f64)>,
    codes: BTreeMap<String, u64>,
    forgotten: bool,
}

impl Tally {
    fn add(&mut self, metric: Metric, value: f64) {
        let sum = self.sums.entry(metric).or_default();
        *sum = (sum.0 + 1, sum.1 + value);
    }

    fn error(&mut self, code: &str) {
        *self.codes.entry(code.to_owned()).or_default() += 1;
        self.add(Metric::AllErrors, 1.0);
    }

    pub(crate) fn accepted(&mut self) {
        self.add(Metric::UserRecordsReceived, 1.0);
    }

    pub(crate) fn reported(&mut self, report: &Report, data_len: usize) {
        let stored = report.stored() == Stored::Yes;
        self.add(Metric::UserRecordsPut, f64::from(u8::from(stored)));
        if stored {
            self.add(Metric::UserRecordsDataPut, data_len as f64);
            let shard = report.shard_id().expect("it is stored somewhere").clone();
            let sum = self.stored.entry(shard).or_default();
            *sum = (sum.0 + 1, sum.1 + data_len as f64);
        }
        if report.failure() == Some(&Failure::Expired) {
            self.add(Metric::UserRecordExpired, 1.0);
        }
        self.add(Metric::RetriesPerRecord, f64::from(report.attempt_count().saturating_sub(1)));
        self.forgotten |= report.attempt_count() > KEPT;
        for attempt in report.attempts() {
            self.add(Metric::BufferingTime, attempt.delay.as_secs_f64() * 1e3);
        }
    }

    pub(crate) fn answered(&mut self, entries: &[WireEntry], outcome: &PutRecordsOutcome, took: u64) {
        self.add(Metric::RequestTime, took as f64 / 1e6);
        self.add(Metric::KinesisRecordsPerPutRecordsRequest, entries.len() as f64);
        let user_records: usize = entries.iter().map(|entry| entry.ids.len()).sum();
        self.add(Metric::UserRecordsPerPutRecordsRequest, user_records as f64);
        for entry in entries {
            self.add(Metric::UserRecordsPerKinesisRecord, entry.ids.len() as f64);
        }
        match outcome {
            Err(failure) => self.error(failure.code.as_str()),
            Ok(outcomes) if outcomes.len() != entries.len() => self.error("Record Count Mismatch"),
            Ok(outcomes) => {
                for (entry, outcome) in entries.iter().zip(outcomes) {
                    let stored = matches!(outcome, EntryOutcome::Stored { .. });
                    self.add(Metric::KinesisRecordsPut, f64::from(u8::from(stored)));
                    match outcome {
                        EntryOutcome::Failed { code, .. } => self.error(code.as_str()),
                        _ => {
                            self.add(Metric::KinesisRecordsDataPut, entry.data.len() as f64);
                            self.add(Metric::AllErrors, 0.0);
                        }
                    }
                }
            }
        }
    }

    /// Compares with what the library counted.
    pub(crate) fn check(&self, readings: &[Reading]) {
        for metric in Metric::ALL.iter().filter(|metric| !matches!(metric, Metric::UserRecordsPending)) {
            let (mut count, mut sum) = (0, 0.0);
            for reading in readings.iter().filter(|reading| reading.metric == *metric) {
                count += reading.values.count;
                sum += reading.values.sum;
            }
            if *metric == Metric::ErrorsByCode {
                assert_eq!(count, self.codes.values().sum::<u64>(), "{metric}");
                continue;
            }
            if *metric == Metric::BufferingTime && self.forgotten {
                continue;
            }
            let by_hand = self.sums.get(metric).copied().unwrap_or_default();
            assert_eq!(count, by_hand.0, "how many of {metric}");
            // Arrivals are known to the microsecond.
            assert!((sum - by_hand.1).abs() <= 0.001 * count as f64 + 1e-6, "{metric}: {sum}, not {}", by_hand.1);
        }
        for (shard, by_hand) in &self.stored {
            let of_shard = |reading: &&Reading| reading.shard.as_ref() == Some(shard);
            let data = readings.iter().filter(of_shard).find(|reading| reading.metric == Metric::UserRecordsDataPut);
            let data = data.map(|reading| (reading.values.count, reading.values.sum));
            assert_eq!(data, Some(*by_hand), "data put to {shard}");
        }
        for (code, count) in &self.codes {
            let of_code = |reading: &&Reading| reading.error_code.as_ref().is_some_and(|other| other.as_str() == code);
            let counted: u64 = readings.iter().filter(of_code).map(|reading| reading.values.count).sum();
            assert_eq!(counted, *count, "errors {code}");
        }
    }
}
