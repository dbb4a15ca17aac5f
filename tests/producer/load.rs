//! Many threads, many streams, few connections, and shards that change under way.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use kinesis_producer::{ReportMode, blocking};

use super::transport::Answer;
use super::*;

#[tokio::test]
async fn many_streams_share_one_connection() {
    let (producer, _, transport) = start(config().max_connections(1), ReportMode::Tickets).await;
    let streams: Vec<_> = (0..20).map(|n| producer.stream(&format!("stream-{n}")).unwrap()).collect();
    transport.then(Answer::Hangs);
    drop(streams[0].try_put(record(b"first")).unwrap());
    transport.requested(1).await;
    let mut tickets = Vec::new();
    for _ in 0..50 {
        for stream in &streams {
            tickets.push(stream.try_put(record(b"1")).unwrap());
        }
    }
    transport.release();
    for ticket in tickets {
        assert!(soon(ticket).await.is_stored());
    }
    assert_eq!(transport.most_on_wire(), 1);
}

#[test]
fn eight_threads_on_three_streams_get_one_report_each() {
    const THREADS: usize = 8;
    const PUTS: usize = 20_000;
    let transport = Arc::new(Scripted::default());
    let settings = config().max_outstanding_records(5_000).rate_limit(1_000_000);
    let producer = blocking::Producer::build(Producer::builder(settings).transport(transport.clone())).unwrap();
    let stored = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (producer, stored, transport) = (&producer, &stored, &transport);
            scope.spawn(move || {
                let streams: Vec<_> = (0..3).map(|n| producer.stream(&format!("stream-{n}")).unwrap()).collect();
                let mut tickets = Vec::new();
                for n in 0..PUTS {
                    let key = format!("{}", n % 500);
                    let put = streams[(n + thread) % 3].put(UserRecord::new(&key, b"data"), LONG).unwrap();
                    tickets.push((put, (n + thread) % 3));
                    if thread == 0 && n == PUTS / 2 {
                        transport.split(5);
                    }
                }
                for (mut ticket, stream) in tickets {
                    let report = streams[stream].report(&mut ticket, LONG).expect("each is reported");
                    assert!(report.is_stored(), "{report:?}");
                    stored.fetch_add(1, SeqCst);
                }
            });
        }
    });
    assert_eq!(stored.load(SeqCst), THREADS * PUTS);
    assert_eq!(producer.outstanding().records, 0);
    assert_eq!(producer.outstanding().bytes, 0);
    assert_eq!(producer.close(LONG), 0);
    let counters = producer.counters();
    assert_eq!(counters.user_records_received, (THREADS * PUTS) as u64);
    assert_eq!(counters.user_records_stored, (THREADS * PUTS) as u64);
}

#[tokio::test]
async fn what_was_stored_in_another_shard_is_sent_again_after_a_split() {
    let (producer, stream, transport) = start(config(), ReportMode::Tickets).await;
    let keys: Vec<String> = (0..200).map(|n| format!("key-{n}")).collect();
    for ticket in keys.iter().map(|key| stream.try_put(UserRecord::new(key, b"1")).unwrap()) {
        assert!(soon(ticket).await.is_stored());
    }
    transport.split(7);
    let tickets: Vec<_> = keys.iter().map(|key| stream.try_put(UserRecord::new(key, b"2")).unwrap()).collect();
    for ticket in tickets {
        assert!(soon(ticket).await.is_stored());
    }
    assert!(producer.counters().wrong_shard > 0);
    assert_eq!(producer.outstanding().records, 0);
    assert_eq!(producer.close(LONG).await, 0);
}

#[tokio::test]
async fn without_a_shard_map_user_records_go_all_the_same() {
    let transport = Arc::new(Scripted::default());
    transport.hide_shards();
    let producer = Producer::builder(config()).transport(transport.clone()).build().await.unwrap();
    let stream = producer.stream("orders").unwrap();
    assert!(soon(stream.try_put(record(b"1")).unwrap()).await.is_stored());
    assert_eq!(producer.close(LONG).await, 0);
}
