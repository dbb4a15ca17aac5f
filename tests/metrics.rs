//! One hand-computed scenario: what the metrics must say after two user records were stored at once, two were throttled and then
//! stored, and one expired.

use std::time::Duration;

use kinesis_producer::config::StreamConfig;
use kinesis_producer::core::outcome::{CallFailure, EntryOutcome, Shard, ShardPage};
use kinesis_producer::core::{Hashed, Pipeline, key_digest};
use kinesis_producer::error::ErrorCode;
use kinesis_producer::metrics::{Metric, Reading, StatisticSet, StreamMetrics};
use kinesis_producer::time::Time;
use kinesis_producer::{HashKey, SequenceNumber, ShardId, Stored, UserRecord};

struct Scenario {
    pipeline: Pipeline,
    metrics: StreamMetrics,
}

impl Scenario {
    fn new() -> Scenario {
        let config = StreamConfig::default()
            .record_max_buffered_time(Duration::from_millis(100))
            .record_ttl(Duration::from_secs(10));
        let mut scenario = Scenario {
            pipeline: Pipeline::new(config, 1, 64 << 20, 7, Time::ZERO),
            metrics: StreamMetrics::new("orders", Time::ZERO),
        };
        scenario.pipeline.handle_timeout(Time::ZERO);
        let half = u128::MAX / 2;
        let shard = |name: &str, first, last| Shard {
            id: ShardId::new(name),
            first: HashKey(first),
            last: HashKey(last),
            open: true,
        };
        let shards = vec![shard("low", 0, half), shard("high", half + 1, u128::MAX)];
        scenario.pipeline.handle_shard_list(Ok(ShardPage { shards, next_token: None }), Time::ZERO);
        scenario.drain(Time::ZERO);
        scenario
    }

    fn put(&mut self, hash_key: u128, data_len: usize, millis: u64) {
        let data = vec![0; data_len];
        let record = UserRecord::new("key", &data);
        let record = record.with_explicit_hash_key(HashKey(hash_key));
        let hashed = Hashed { record, key_digest: key_digest("key"), hash_key: Some(HashKey(hash_key)) };
        self.pipeline.put(0, &hashed, Time::from_millis(millis)).expect("there is room");
        self.metrics.received(1, Time::from_millis(millis));
    }

    /// Sends what is due at `sent` and answers it at `answered`; `outcome` is asked for each Kinesis record's shard.
    fn exchange(
        &mut self,
        sent: u64,
        answered: u64,
        outcome: impl Fn(&str) -> Result<EntryOutcome, CallFailure>,
    ) -> usize {
        let request = self.pipeline.poll_transmit(Time::from_millis(sent)).expect("a request is due");
        let shard = |hash_key: HashKey| if hash_key.0 > u128::MAX / 2 { "high" } else { "low" };
        let records = request.records.iter();
        let answers = records.map(|record| outcome(shard(record.hash_key.expect("it was given")))).collect();
        self.pipeline.handle_put_records(request.id, answers, Time::from_millis(answered));
        self.drain(Time::from_millis(answered));
        request.records.len()
    }

    fn drain(&mut self, now: Time) {
        while self.pipeline.poll_job().is_some() {}
        while let Some(measurement) = self.pipeline.poll_measurement() {
            self.metrics.measure(measurement, now);
        }
        while let Some(batch) = self.pipeline.poll_reports() {
            batch.measure(&mut self.metrics);
        }
    }
}

fn stored(shard: &str) -> EntryOutcome {
    EntryOutcome::Stored { shard_id: ShardId::new(shard), sequence_number: SequenceNumber::new("1") }
}

fn failed(code: &str) -> EntryOutcome {
    EntryOutcome::Failed { code: ErrorCode::new(code), message: "slow down".into() }
}

fn find<'a>(readings: &'a [Reading], metric: Metric, shard: Option<&str>, code: Option<&str>) -> &'a StatisticSet {
    let is_it = |reading: &&Reading| {
        reading.metric == metric
            && reading.shard.as_ref().map(ShardId::as_str) == shard
            && reading.error_code.as_ref().map(ErrorCode::as_str) == code
    };
    &readings.iter().find(is_it).unwrap_or_else(|| panic!("{metric} of {shard:?} {code:?} is there")).values
}

const THROTTLED: &str = "ProvisionedThroughputExceededException";

#[test]
fn every_metric_says_what_happened() {
    let mut scenario = Scenario::new();
    // Two to the low shard, 30 ms apart, and two to the high one. The first must leave at 1,100 ms, and the others go along.
    scenario.put(1, 100, 1_000);
    scenario.put(2, 50, 1_030);
    scenario.put(u128::MAX, 10, 1_010);
    scenario.put(u128::MAX - 1, 20, 1_020);
    scenario.metrics.pending(4, 4, Time::from_millis(1_100));
    let sent =
        scenario.exchange(1_100, 1_140, |shard| Ok(if shard == "low" { stored("low") } else { failed(THROTTLED) }));
    assert_eq!(sent, 2);
    // The whole call fails, then all is well.
    let unavailable = CallFailure {
        code: ErrorCode::new("ServiceUnavailable"),
        message: "later".into(),
        status: Some(503),
        stored: Stored::Possibly,
    };
    scenario.pipeline.handle_timeout(Time::from_millis(2_000));
    scenario.exchange(2_000, 2_010, |_| Err(unavailable.clone()));
    scenario.pipeline.handle_timeout(Time::from_millis(8_000));
    scenario.exchange(8_000, 8_020, |_| Ok(stored("high")));
    // One more expires before it can be sent.
    scenario.put(1, 7, 20_000);
    scenario.pipeline.handle_timeout(Time::from_millis(30_010));
    scenario.drain(Time::from_millis(30_010));

    let now = Time::from_millis(30_010);
    let all = scenario.metrics.read(None, now);
    let of = |metric, shard| find(&all, metric, shard, None);
    let set = |count, sum, min, max| {
        let mut set = StatisticSet::of(0.0, 1);
        (set.count, set.sum, set.min, set.max) = (count, sum, min, max);
        set
    };
    assert_eq!(of(Metric::UserRecordsReceived, None), &set(5, 5.0, 1.0, 1.0));
    // Looked at at 200, 400, … 1,000 ms, when nothing was known to be pending yet but for the last look.
    assert_eq!(of(Metric::UserRecordsPending, None), &set(5, 4.0, 0.0, 4.0));
    assert_eq!(of(Metric::UserRecordsPut, Some("low")), &set(3, 2.0, 0.0, 1.0));
    assert_eq!(of(Metric::UserRecordsPut, Some("high")), &set(2, 2.0, 1.0, 1.0));
    assert_eq!(of(Metric::UserRecordsDataPut, Some("low")), &set(2, 150.0, 50.0, 100.0));
    assert_eq!(of(Metric::UserRecordsDataPut, Some("high")), &set(2, 30.0, 10.0, 20.0));
    assert_eq!(of(Metric::KinesisRecordsPut, Some("low")), &set(1, 1.0, 1.0, 1.0));
    assert_eq!(of(Metric::KinesisRecordsPut, Some("high")), &set(2, 1.0, 0.0, 1.0));
    assert_eq!(of(Metric::AllErrors, Some("low")), &set(1, 0.0, 0.0, 0.0));
    assert_eq!(of(Metric::AllErrors, Some("high")), &set(2, 1.0, 0.0, 1.0));
    assert_eq!(of(Metric::AllErrors, None), &set(1, 1.0, 1.0, 1.0), "a failed call counts once, for the stream");
    assert_eq!(find(&all, Metric::ErrorsByCode, Some("high"), Some(THROTTLED)), &set(1, 1.0, 1.0, 1.0));
    assert_eq!(find(&all, Metric::ErrorsByCode, None, Some("ServiceUnavailable")), &set(1, 1.0, 1.0, 1.0));
    assert_eq!(of(Metric::RetriesPerRecord, Some("low")), &set(3, 0.0, 0.0, 0.0));
    assert_eq!(of(Metric::RetriesPerRecord, Some("high")), &set(2, 4.0, 2.0, 2.0));
    assert_eq!(of(Metric::UserRecordExpired, Some("low")), &set(1, 1.0, 1.0, 1.0));
    // Before their attempts: 100 and 70 ms; the expired one waited 10,010 ms.
    assert_eq!(of(Metric::BufferingTime, Some("low")), &set(3, 10_180.0, 70.0, 10_010.0));
    // 90 and 80 ms, then twice 860 and twice 5,990 ms until the next attempts.
    assert_eq!(of(Metric::BufferingTime, Some("high")), &set(6, 13_870.0, 80.0, 5_990.0));
    assert_eq!(of(Metric::RequestTime, None), &set(3, 70.0, 10.0, 40.0));
    assert_eq!(of(Metric::KinesisRecordsPerPutRecordsRequest, None), &set(3, 4.0, 1.0, 2.0));
    assert_eq!(of(Metric::UserRecordsPerPutRecordsRequest, None), &set(3, 8.0, 2.0, 4.0));
    assert_eq!(of(Metric::UserRecordsPerKinesisRecord, Some("high")), &set(3, 6.0, 2.0, 2.0));

    // A stream that is opened late was not looked at before.
    let mut late = StreamMetrics::new("late", Time::from_millis(3_600_000));
    late.pending(7, 7, Time::from_millis(3_600_250));
    assert_eq!(find(&late.read(None, now), Metric::UserRecordsPending, None, None), &set(1, 7.0, 7.0, 7.0));

    // Of the last second only the expiry is left.
    let last = scenario.metrics.read(Some(1), now);
    assert_eq!(find(&last, Metric::UserRecordsPut, Some("low"), None), &set(1, 0.0, 0.0, 0.0));
    assert_eq!(find(&last, Metric::UserRecordsPut, Some("high"), None).count, 0);
}

/// Only a build that can upload keeps anything for it.
#[cfg(feature = "cloudwatch")]
#[test]
fn what_was_taken_for_an_upload_is_not_taken_again() {
    let mut scenario = Scenario::new();
    scenario.put(1, 100, 1_000);
    scenario.put(u128::MAX, 10, 1_010);
    scenario.exchange(1_100, 1_140, |shard| Ok(if shard == "low" { stored("low") } else { failed(THROTTLED) }));
    let total = scenario.metrics.read(None, Time::from_millis(1_140));
    let first = scenario.metrics.take_unsent();
    for reading in total.iter().filter(|reading| reading.values.count > 0) {
        assert!(first.readings.contains(reading), "{reading:?}");
    }
    assert_eq!(first.readings.len(), total.len());
    let spread = |spreads: &[(Metric, Vec<(u64, u64)>)], metric| {
        spreads.iter().find(|(other, _)| *other == metric).map(|(_, values)| values.clone())
    };
    // Microseconds, to 1 %.
    let request_times = spread(&first.spreads, Metric::RequestTime);
    assert!(matches!(request_times.as_deref(), Some([(40_000..=40_400, 1)])), "{request_times:?}");
    assert_eq!(spread(&first.spreads, Metric::UserRecordsPerKinesisRecord), Some(vec![(1, 2)]));

    let nothing = scenario.metrics.take_unsent();
    assert!(nothing.readings.is_empty() && nothing.spreads.is_empty(), "{nothing:?}");
    scenario.put(1, 7, 2_000);
    let second = scenario.metrics.take_unsent();
    assert_eq!(second.readings.len(), 1);
    assert_eq!(find(&second.readings, Metric::UserRecordsReceived, None, None), &StatisticSet::of(1.0, 1));
}
