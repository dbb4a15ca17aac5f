//! Metrics and statistics of a running producer: who has a report finds it counted, and a look says why the producer is slow.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use kinesis_producer::error::ErrorKind;
use kinesis_producer::metrics::{FindingKind, Metric, Statistics, StreamState};

use super::transport::Answer;
use super::*;

#[tokio::test]
async fn who_has_a_report_finds_it_counted() {
    let (producer, stream, _) = start(config(), ReportMode::Tickets).await;
    for round in 1..=50 {
        assert!(soon(stream.try_put(record(b"data")).unwrap()).await.is_stored());
        let values = producer.metrics(Some(Metric::UserRecordsPut), None).unwrap();
        let levels: Vec<_> = values.iter().map(|values| (values.stream.is_some(), values.shard.is_some())).collect();
        assert_eq!(levels, [(false, false), (true, false), (true, true)]);
        assert!(values.iter().all(|values| values.values.count == round && values.values.mean() == 1.0), "{values:?}");
    }
    let received = producer.metrics(Some(Metric::UserRecordsReceived), Some(Duration::from_secs(60))).unwrap();
    assert_eq!(received.iter().map(|values| values.values.sum).collect::<Vec<_>>(), [50.0, 50.0]);
}

#[tokio::test]
async fn a_window_is_one_to_sixty_whole_seconds() {
    let (producer, _, _) = start(config(), ReportMode::Tickets).await;
    for window in [Duration::ZERO, Duration::from_millis(1500), Duration::from_secs(61)] {
        let error = producer.metrics(None, Some(window)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidWindow);
        assert!(error.to_string().contains(&format!("{window:?}: 1 to 60 whole seconds")), "{error}");
    }
    assert!(producer.metrics(None, Some(Duration::from_secs(60))).is_ok());
}

fn kinds(statistics: &Statistics) -> Vec<FindingKind> {
    statistics.findings.iter().map(|finding| finding.kind).collect()
}

/// The first look at which it is so.
async fn until(producer: &Producer, is_so: impl Fn(&Statistics) -> bool) -> Statistics {
    let looks = async {
        loop {
            let look = producer.statistics();
            if is_so(&look) {
                return look;
            }
            tokio::task::yield_now().await;
        }
    };
    soon(looks).await
}

#[tokio::test]
async fn a_look_tells_what_is_queued_and_what_is_wrong() {
    let settings = config().max_outstanding_records(100).max_connections(1);
    let (producer, stream, transport) = start(settings, ReportMode::Tickets).await;
    assert!(soon(stream.try_put(record(b"first")).unwrap()).await.is_stored());
    let calm = producer.statistics();
    assert_eq!((kinds(&calm), calm.outstanding.records, calm.connections.in_use), (vec![], 0, 0));
    let orders = &calm.streams["orders"];
    assert_eq!((orders.state, orders.shards.len(), orders.shard_map.open_shards), (StreamState::Open, 2, 2));
    assert_eq!((orders.times.total.count, orders.times.request.count), (1, 1));
    assert!(orders.times.total.p99_ms >= orders.times.request.p50_ms);

    transport.then(Answer::Hangs);
    drop(stream.try_put(record(b"hangs")).unwrap());
    transport.requested(2).await;
    let tickets = stream.try_put_many(&vec![record(b"waits"); 99]);
    assert_eq!(tickets.accepted, 99);
    let busy = until(&producer, |look| look.streams["orders"].queues.waits_for_connection).await;
    assert_eq!(kinds(&busy), [FindingKind::BudgetFull, FindingKind::ConnectionsBusy]);
    assert_eq!((busy.outstanding.records, busy.streams["orders"].undecided_records), (100, 100));
    let queues = &busy.streams["orders"].queues;
    assert_eq!((queues.requests_on_wire, queues.kinesis_records_on_wire), (1, 1));
    assert!(queues.open_user_records + queues.queued_kinesis_records > 0);
    assert!(busy.outstanding.oldest_ms.is_some() && queues.oldest_request_ms.is_some());
    transport.release();
    assert!(producer.flush(LONG).await);
    assert_eq!(kinds(&producer.statistics()), []);
}

#[tokio::test]
async fn a_look_tells_why_nothing_is_sent() {
    let (producer, stream, transport) = start(config(), ReportMode::Tickets).await;
    transport.always(Answer::Fails);
    let ticket = stream.try_put(record(b"data")).unwrap();
    transport.requested(3).await;
    let look = until(&producer, |look| look.streams["orders"].backoff.is_some()).await;
    assert_eq!(kinds(&look), [FindingKind::StreamBackedOff]);
    assert!(look.findings[0].message.contains("InternalFailure: not today"), "{}", look.findings[0].message);
    transport.release();
    assert!(soon(ticket).await.is_stored());
    assert!(producer.statistics().streams["orders"].backoff.is_none());
}

#[tokio::test]
async fn a_hot_key_is_named_with_its_shard() {
    let (producer, stream, _) = start(config().rate_limit(1_000_000), ReportMode::Tickets).await;
    let keys: Vec<String> =
        (0..20_000).map(|n| if n % 10 == 0 { format!("key-{n}") } else { "hot".to_owned() }).collect();
    let records: Vec<UserRecord<'_>> = keys.iter().map(|key| UserRecord::new(key, b"data")).collect();
    assert_eq!(soon(stream.put_many(&records)).await.accepted, 20_000);
    assert!(producer.flush(LONG).await);
    let look = producer.statistics();
    assert_eq!(kinds(&look), [FindingKind::HotKey]);
    let hot = &look.streams["orders"].hot_keys[0];
    // 83 % of the bytes, of which the samples know it give or take 4.
    assert!(hot.partition_key == "hot" && (0.65..0.95).contains(&hot.share), "{hot:?}");
    let known = look.findings[0].shard.as_ref().is_none_or(|shard| look.streams["orders"].shards.contains_key(shard));
    assert!(known, "{:?}", look.findings);
}

#[tokio::test]
async fn statistics_come_again_and_again_even_if_one_call_panics() {
    let looks = Arc::new((AtomicUsize::new(0), Mutex::new(None)));
    let seen = Arc::clone(&looks);
    let (told, mut enough) = tokio::sync::mpsc::unbounded_channel();
    let builder = Producer::builder(config().statistics_interval(Duration::from_millis(2)));
    let builder = builder.transport(Arc::new(Scripted::default())).on_statistics(move |statistics| {
        *seen.1.lock().unwrap() = Some(statistics.to_json());
        let calls = seen.0.fetch_add(1, SeqCst) + 1;
        assert!(calls != 2, "this one panics");
        let _ = told.send(calls);
    });
    let producer = builder.build().await.unwrap();
    let stream = producer.stream("orders").unwrap();
    assert!(soon(stream.try_put(record(b"data")).unwrap()).await.is_stored());
    let after = looks.0.load(SeqCst) + 2;
    soon(async { while enough.recv().await.expect("calls go on") < after {} }).await;
    let json = looks.1.lock().unwrap().clone().expect("there was a call");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["streams"]["orders"]["counters"]["user_records_stored"], 1);
    drop(producer);
    // The function is dropped with the producer, and no call comes any more.
    soon(async { while enough.recv().await.is_some() {} }).await;
}

#[tokio::test]
async fn a_function_that_would_never_be_called_is_an_error() {
    let builder = Producer::builder(config()).transport(Arc::new(Scripted::default())).on_statistics(|_| {});
    let error = builder.build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().starts_with("statistics_interval: 0 is never"), "{error}");
}
