//! Room for user records: who is refused, who waits, in what order, and what a refusal leaves behind: nothing.

use futures_like::poll_once;
use kinesis_producer::{PutError, ReportMode, Stored, UserRecord};

use super::transport::Answer;
use super::*;

mod futures_like {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    pub(super) fn poll_once<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }
}

#[tokio::test]
async fn a_full_queue_refuses_and_keeps_nothing() {
    let (producer, stream, transport) = start(config().max_outstanding_records(2), ReportMode::Tickets).await;
    transport.always(Answer::Hangs);
    let first = stream.try_put(record(b"one")).unwrap();
    let second = stream.try_put(record(b"two")).unwrap();
    assert_eq!(stream.try_put(record(b"three")).unwrap_err(), PutError::QueueFull);
    assert_eq!(producer.outstanding().records, 2);
    assert_eq!(producer.outstanding().bytes, 12);
    transport.release();
    assert_eq!(soon(first).await.stored(), Stored::Yes);
    assert_eq!(soon(second).await.stored(), Stored::Yes);
    assert_eq!(producer.outstanding().records, 0);
    assert_eq!(soon(stream.try_put(record(b"three")).unwrap()).await.stored(), Stored::Yes);
    assert_eq!(producer.counters().user_records_received, 3);
    assert_eq!(producer.close(LONG).await, 0);
}

#[tokio::test]
async fn bytes_are_bounded_as_well_and_a_prefix_of_many_is_taken() {
    let settings = config().max_outstanding_bytes(2100);
    let (producer, stream, transport) = start(settings, ReportMode::Tickets).await;
    transport.always(Answer::Hangs);
    let data = [7; 997];
    let many = stream.try_put_many(&[record(&data); 5]);
    assert_eq!((many.accepted, many.tickets.len(), many.stopped), (2, 2, Some(PutError::QueueFull)));
    assert_eq!(producer.outstanding().bytes, 2000);
    assert!(stream.try_put(record(&[1; 97])).is_ok(), "what fits is taken");
    assert_eq!(stream.try_put(record(b"")).unwrap_err(), PutError::QueueFull);
    assert_eq!(producer.abort(), 3);
    assert_eq!(producer.outstanding().bytes, 0);
}

#[tokio::test]
async fn a_put_of_many_stops_at_what_is_wrong_and_says_why() {
    let (producer, stream, _) = start(config(), ReportMode::Tickets).await;
    let records = [record(b"a"), record(b"b"), UserRecord::new("", b"c"), record(b"d")];
    let wrong = Some(PutError::InvalidPartitionKey { chars: 0 });
    let many = stream.try_put_many(&records);
    assert_eq!((many.accepted, many.tickets.len(), many.stopped), (2, 2, wrong));
    let many = soon(stream.put_many(&records)).await;
    assert_eq!((many.accepted, many.tickets.len(), many.stopped), (2, 2, wrong));
    let many = soon(stream.put_many(&[])).await;
    assert_eq!((many.accepted, many.stopped), (0, None));
    assert_eq!(producer.close(LONG).await, 0);
    assert_eq!(producer.counters().user_records_stored, 4);
}

#[tokio::test]
async fn waiting_puts_are_served_in_line_and_a_dropped_one_hands_its_turn_on() {
    let (producer, stream, transport) = start(config().max_outstanding_records(1), ReportMode::Tickets).await;
    transport.then(Answer::Hangs);
    let first = stream.try_put(record(b"first")).unwrap();
    let mut second = Box::pin(stream.put(record(b"second")));
    let mut third = Box::pin(stream.put(record(b"third")));
    let mut fourth = Box::pin(stream.put(record(b"fourth")));
    assert!(poll_once(&mut second).is_pending());
    assert!(poll_once(&mut third).is_pending());
    assert!(poll_once(&mut fourth).is_pending());
    transport.requested(1).await;
    transport.release();
    assert!(soon(first).await.is_stored());
    // The second has its turn by now; it leaves with it.
    drop(second);
    assert!(poll_once(&mut fourth).is_pending(), "the fourth overtook the third");
    assert!(soon(soon(third).await.unwrap()).await.is_stored());
    assert!(soon(soon(fourth).await.unwrap()).await.is_stored());
    assert_eq!(producer.counters().user_records_received, 3);
    assert_eq!(producer.outstanding().records, 0);
}

#[tokio::test]
async fn a_put_of_many_that_waits_lets_nothing_fall_and_nobody_hang() {
    let settings = config().max_outstanding_records(10).max_outstanding_bytes(4000);
    let (producer, stream, _) = start(settings, ReportMode::Tickets).await;
    let data = [7; 900];
    let records = vec![record(&data); 300];
    let (one, other) = soon(async { tokio::join!(stream.put_many(&records), stream.put_many(&records)) }).await;
    assert_eq!((one.accepted, one.stopped, other.accepted, other.stopped), (300, None, 300, None));
    for ticket in one.tickets.into_iter().chain(other.tickets) {
        assert!(soon(ticket).await.is_stored());
    }
    assert_eq!(producer.outstanding().records, 0);
}

#[tokio::test]
async fn refusals_name_the_value_and_the_limit() {
    let (producer, stream, _) = start(config(), ReportMode::Tickets).await;
    let put = |key: &str, data: &[u8]| stream.try_put(UserRecord::new(key, data)).map(drop);
    let refusals = [
        (put("", b""), PutError::InvalidPartitionKey { chars: 0 }, "0 characters: 1 to 256"),
        (put(&"ä".repeat(257), b""), PutError::InvalidPartitionKey { chars: 257 }, "257 characters: 1 to 256"),
        (put("k", &[0; 1001]), PutError::RecordTooLarge { len: 1001, max: 1000 }, "1001 bytes is larger than the 1000"),
    ];
    for (result, expected, words) in refusals {
        let error = result.unwrap_err();
        assert_eq!(error, expected);
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(put(&"💧".repeat(256), &[0; 1000]), Ok(()));
    assert_eq!(producer.close(LONG).await, 0);
    assert_eq!(put("k", b""), Err(PutError::Closed));
    assert_eq!(producer.counters().user_records_received, 1);
}

#[tokio::test]
async fn a_stream_has_its_share_of_the_room_and_its_own_settings() {
    let settings = config().stream("small", |stream| stream.max_outstanding_records(1).max_user_record_size(64));
    let (producer, stream, transport) = start(settings.max_outstanding_records(3), ReportMode::Tickets).await;
    transport.always(Answer::Hangs);
    let small = producer.stream("small").unwrap();
    let only = small.try_put(record(b"1")).unwrap();
    assert_eq!(small.try_put(record(b"2")).unwrap_err(), PutError::QueueFull);
    assert_eq!(small.try_put(record(&[0; 65])).unwrap_err(), PutError::RecordTooLarge { len: 65, max: 64 });
    let many = stream.try_put_many(&[record(b"3"); 3]);
    assert_eq!(many.accepted, 2, "the share's refusals keep no room of the producer");
    let mut waiting = Box::pin(small.put(record(b"4")));
    assert!(poll_once(&mut waiting).is_pending());
    drop(waiting);
    transport.release();
    assert!(soon(only).await.is_stored());
    assert!(soon(soon(small.put(record(b"5"))).await.unwrap()).await.is_stored());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_report_finds_the_room_that_it_took() {
    let (producer, stream, _) = start(config().max_outstanding_records(1), ReportMode::Tickets).await;
    let patience = std::time::Instant::now();
    for _ in 0..200 {
        let ticket = stream.try_put(record(b"1")).expect("there is room");
        while ticket.report().is_none() {
            assert!(patience.elapsed() < LONG);
            std::hint::spin_loop();
        }
    }
    assert_eq!(producer.close(LONG).await, 0);
}
