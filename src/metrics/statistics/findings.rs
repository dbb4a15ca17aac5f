//! What stands out in a snapshot, said in sentences: the first questions of whoever looks after a slow producer, answered.

use super::{Finding, FindingKind, ShardStatistics, Statistics, StreamState, StreamStatistics};

/// Of the budget.
const NEARLY_FULL: f64 = 0.9;
/// A queue that takes longer than this to drain is one.
const LONG_DRAIN_MS: f64 = 1_000.0;
/// A healthy service answers in tens of milliseconds.
const SLOW_ANSWER_MS: f64 = 1_000.0;
/// Of a stream's bytes: more than a shard's worth of a stream with few shards.
const HOT_SHARE: f64 = 0.2;
/// Shards that are named one by one; the others are counted.
const NAMED_SHARDS: usize = 5;

/// The findings, most urgent first.
pub(super) fn of(statistics: &Statistics) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, stream) in &statistics.streams {
        of_stream(name, stream, &mut findings);
    }
    of_producer(statistics, &mut findings);
    findings.sort_by_key(|finding| finding.kind);
    findings
}

fn of_producer(statistics: &Statistics, findings: &mut Vec<Finding>) {
    let mut find = |kind, message| findings.push(Finding { kind, stream: None, shard: None, message });
    let outstanding = &statistics.outstanding;
    let used = |part: usize, all: usize| part as f64 / all.max(1) as f64;
    let records = used(outstanding.records, outstanding.max_records);
    let bytes = used(outstanding.bytes, outstanding.max_bytes);
    let not_taken = used(outstanding.reports_not_taken, outstanding.records);
    if records.max(bytes) >= NEARLY_FULL {
        let (what, part) = if records > bytes { ("records", records) } else { ("bytes", bytes) };
        find(
            FindingKind::BudgetFull,
            format!(
                "{:.0} % of max_outstanding_{what} are used: puts wait or are refused until something is delivered",
                part * 100.0
            ),
        );
    }
    if not_taken >= 0.5 && outstanding.reports_not_taken >= 1000 {
        find(
            FindingKind::ReportsNotTaken,
            format!(
                "{} of {} outstanding user records are decided, but their reports are not taken: take them faster",
                outstanding.reports_not_taken, outstanding.records
            ),
        );
    }
    let connections = &statistics.connections;
    if connections.in_use >= connections.max
        && statistics.streams.values().any(|stream| stream.queues.waits_for_connection)
    {
        find(
            FindingKind::ConnectionsBusy,
            format!(
                "all {} connections are in use: requests wait for an answer of another one; raise max_connections, or see why \
                 answers take long",
                connections.max
            ),
        );
    }
}

fn of_stream(name: &str, stream: &StreamStatistics, findings: &mut Vec<Finding>) {
    let mut find = |kind, shard: Option<&str>, message| {
        let (stream, shard) = (Some(name.to_owned()), shard.map(str::to_owned));
        findings.push(Finding { kind, stream, shard, message });
    };
    if stream.state == StreamState::Broken {
        let message = "an internal error stopped this stream: its user records were reported; create a new producer";
        find(FindingKind::StreamBroken, None, message.to_owned());
        return;
    }
    if let Some(backoff) = &stream.backoff {
        let message = format!(
            "calls fail with {}: {}; the next probe is in {:.0} ms, nothing is lost before record_ttl",
            backoff.error_code, backoff.error_message, backoff.remaining_ms
        );
        find(FindingKind::StreamBackedOff, None, message);
    }
    if stream.shard_map.open_shards == 0 && stream.shard_map.failures > 0 {
        let message = "there is no shard map, so user records of different keys share no aggregates: does the stream exist, and is \
                       kinesis:ListShards allowed?";
        find(FindingKind::NoShardMap, None, message.to_owned());
    }
    of_shards(stream, &mut find);
    let request = &stream.times.request;
    if request.count > 0 && request.p50_ms >= SLOW_ANSWER_MS {
        let message = format!(
            "half of the PutRecords calls take {:.0} ms or more: the network or the endpoint is slow, or too far away",
            request.p50_ms
        );
        find(FindingKind::SlowAnswers, None, message);
    }
    if let Some(key) = stream.hot_keys.first().filter(|key| key.share >= HOT_SHARE && stream.shards.len() > 1) {
        let message = format!(
            "partition key {:?} makes up {:.0} % of the stream's bytes, and all of them go to one shard: spread them over more keys",
            key.partition_key,
            key.share * 100.0
        );
        find(FindingKind::HotKey, key.shard.as_deref(), message);
    }
}

fn of_shards(stream: &StreamStatistics, find: &mut impl FnMut(FindingKind, Option<&str>, String)) {
    // Callers that wait for room offer no more than is sent: their shard is known by its queue.
    let overloaded = |shard: &ShardStatistics| {
        shard.queued_kinesis_records > 0 && (shard.load > 1.0 || shard.drain_ms >= LONG_DRAIN_MS || shard.refuses_puts)
    };
    let throttled = |shard: &ShardStatistics| shard.throttled_last_minute > 0 && !overloaded(shard);
    let worst_first = |is_one: &dyn Fn(&ShardStatistics) -> bool| {
        let mut shards: Vec<_> = stream.shards.iter().filter(|(_, shard)| is_one(shard)).collect();
        shards.sort_by(|(_, a), (_, b)| b.load.total_cmp(&a.load));
        let more = shards.len().saturating_sub(NAMED_SHARDS);
        let more = if more > 0 { format!(" ({more} more shards are in the same state)") } else { String::new() };
        shards.into_iter().take(NAMED_SHARDS).map(move |(id, shard)| (id, shard, more.clone()))
    };
    for (id, shard, more) in worst_first(&overloaded) {
        let message = format!(
            "{:.0} KB/s and {:.0} Kinesis records/s are offered, {:.0} KB/s and {:.0} records/s can be sent: the queue takes {:.1} s \
             to drain{}; add shards, or spread the keys better{more}",
            shard.offered_bytes_per_second / 1e3,
            shard.offered_records_per_second,
            shard.limit_bytes_per_second / 1e3,
            shard.limit_records_per_second,
            shard.drain_ms / 1e3,
            if shard.refuses_puts { ", and puts wait or are refused" } else { "" },
        );
        find(FindingKind::ShardOverloaded, Some(id), message);
    }
    for (id, shard, more) in worst_first(&throttled) {
        let message = format!(
            "the service throttled {} Kinesis records in the last minute: other producers may use the shard as well{more}",
            shard.throttled_last_minute
        );
        find(FindingKind::ShardThrottled, Some(id), message);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BackoffStatistics, HotKey};
    use super::*;

    fn found(change: impl FnOnce(&mut Statistics, &mut StreamStatistics)) -> Vec<(FindingKind, String)> {
        let (mut statistics, mut stream) = (Statistics::default(), StreamStatistics::default());
        statistics.outstanding.max_records = 100;
        statistics.outstanding.max_bytes = 100;
        stream.shard_map.open_shards = 2;
        change(&mut statistics, &mut stream);
        statistics.streams.insert("orders".to_owned(), stream);
        of(&statistics).into_iter().map(|finding| (finding.kind, finding.message)).collect()
    }

    #[test]
    fn nothing_stands_out_in_a_healthy_producer() {
        assert_eq!(
            found(|_, stream| {
                stream.shards.insert("shardId-0".to_owned(), ShardStatistics::default());
            }),
            []
        );
    }

    #[test]
    fn the_most_urgent_comes_first() {
        let found = found(|statistics, stream| {
            statistics.outstanding.bytes = 95;
            stream.backoff = Some(BackoffStatistics { error_code: "AccessDenied".to_owned(), ..Default::default() });
            stream.hot_keys.push(HotKey { partition_key: "k".to_owned(), shard: None, share: 0.5 });
            let shard = ShardStatistics { load: 2.0, queued_kinesis_records: 9, ..Default::default() };
            stream.shards.insert("shardId-0".to_owned(), shard);
            stream
                .shards
                .insert("shardId-1".to_owned(), ShardStatistics { throttled_last_minute: 3, ..Default::default() });
        });
        let kinds: Vec<FindingKind> = found.iter().map(|(kind, _)| *kind).collect();
        let expected = [
            FindingKind::StreamBackedOff,
            FindingKind::ShardOverloaded,
            FindingKind::ShardThrottled,
            FindingKind::BudgetFull,
            FindingKind::HotKey,
        ];
        assert_eq!(kinds, expected);
        assert!(found[3].1.starts_with("95 % of max_outstanding_bytes are used"), "{}", found[3].1);
    }

    #[test]
    fn a_finding_is_a_line_for_a_person() {
        let key = HotKey { partition_key: "k".to_owned(), shard: Some("shardId-0".to_owned()), share: 0.5 };
        let mut stream = StreamStatistics { hot_keys: vec![key], ..StreamStatistics::default() };
        for id in ["shardId-0", "shardId-1"] {
            stream.shards.insert(id.to_owned(), ShardStatistics::default());
        }
        let mut statistics = Statistics::default();
        statistics.streams.insert("orders".to_owned(), stream);
        let found = of(&statistics);
        assert_eq!(found.len(), 1);
        let line = found[0].to_string();
        assert!(line.starts_with("hot_key orders shardId-0: partition key \"k\" makes up 50 % of"), "{line}");
        let json = serde_json::to_value(&found[0]).unwrap();
        assert_eq!(json["kind"], found[0].kind.name());
    }

    #[test]
    fn of_many_shards_in_the_same_state_some_are_named() {
        let found = found(|_, stream| {
            let waiting =
                ShardStatistics { load: 0.9, queued_kinesis_records: 9, drain_ms: 10_000.0, ..Default::default() };
            stream.shards.insert("shardId-999".to_owned(), waiting);
            for n in 0..20 {
                let shard = ShardStatistics { load: f64::from(n), queued_kinesis_records: 9, ..Default::default() };
                stream.shards.insert(format!("shardId-{n:03}"), shard);
            }
        });
        assert_eq!(found.len(), NAMED_SHARDS);
        assert!(found[0].1.ends_with("(14 more shards are in the same state)"), "{}", found[0].1);
    }
}
