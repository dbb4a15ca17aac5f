//! Flush, close, abort and drop: everything accepted has its report, and nothing stays.

use kinesis_producer::{Failure, PutError, ReportMode, Stored};

use super::transport::Answer;
use super::*;

fn slow() -> Config {
    config().record_max_buffered_time(Duration::from_secs(10))
}

#[tokio::test]
async fn dropping_a_producer_reports_everything_at_once_and_leaves_nothing_behind() {
    let (producer, stream, transport) = start(config().max_connections(1), ReportMode::Tickets).await;
    transport.always(Answer::Hangs);
    let on_wire = stream.try_put(record(b"on the wire")).unwrap();
    transport.requested(1).await;
    let queued = stream.try_put(record(b"queued")).unwrap();
    assert!(producer.outstanding().oldest.is_some());
    drop(producer);
    let (on_wire, queued) = (on_wire.report().unwrap(), queued.report().unwrap());
    assert_eq!((on_wire.failure(), on_wire.stored()), (Some(&Failure::Aborted), Stored::Possibly));
    assert_eq!((queued.failure(), queued.stored()), (Some(&Failure::Aborted), Stored::No));
    assert_eq!(stream.try_put(record(b"late")).unwrap_err(), PutError::Closed);
    assert_eq!(soon(stream.put(record(b"late"))).await.unwrap_err(), PutError::Closed);
    let dropped = transport.dropped();
    drop(transport);
    soon(dropped).await;
}

#[tokio::test]
async fn close_reports_the_rest_at_its_time_out_and_gives_its_number() {
    let (producer, stream, transport) = start(config(), ReportMode::Tickets).await;
    transport.then(Answer::Stored);
    transport.always(Answer::Hangs);
    assert!(soon(stream.try_put(record(b"1")).unwrap()).await.is_stored());
    let rest: Vec<_> = (0..5).map(|_| stream.try_put(record(b"2")).unwrap()).collect();
    assert_eq!(soon(producer.close(SHORT)).await, 5);
    assert!(
        rest.iter().all(|ticket| ticket.report().is_some_and(|report| report.failure() == Some(&Failure::Aborted)))
    );
    assert_eq!(soon(producer.close(LONG)).await, 0, "a second close finds nothing");
    assert_eq!(producer.abort(), 0);
    assert!(soon(producer.flush(LONG)).await);
    assert_eq!(producer.outstanding().records, 0);
}

#[tokio::test]
async fn two_closes_at_once_count_the_rest_once() {
    let (producer, stream, transport) = start(config(), ReportMode::Tickets).await;
    transport.always(Answer::Hangs);
    drop(stream.try_put(record(b"1")).unwrap());
    let (one, other) = soon(async { tokio::join!(producer.close(SHORT), producer.close(LONG)) }).await;
    assert_eq!(one + other, 1);
}

#[tokio::test]
async fn waiting_puts_are_told_that_the_producer_closes() {
    let (producer, stream, transport) = start(config().max_outstanding_records(1), ReportMode::Tickets).await;
    transport.always(Answer::Hangs);
    drop(stream.try_put(record(b"1")).unwrap());
    let waiting = tokio::spawn({
        let stream = stream.clone();
        async move { stream.put(record(b"2")).await.map(drop) }
    });
    transport.requested(1).await;
    tokio::task::yield_now().await;
    assert_eq!(soon(producer.close(SHORT)).await, 1);
    assert_eq!(soon(waiting).await.unwrap(), Err(PutError::Closed));
}

#[tokio::test]
async fn a_closed_producer_says_so_even_if_it_is_full() {
    let (producer, stream, transport) = start(config().max_outstanding_records(1), ReportMode::Queue).await;
    transport.always(Answer::Hangs);
    stream.try_put_detached(record(b"1"), 1).unwrap();
    assert_eq!(producer.abort(), 1);
    assert_eq!(producer.outstanding().records, 1, "its report is not taken yet");
    assert_eq!(stream.try_put_detached(record(b"2"), 2), Err(PutError::Closed));
}

#[tokio::test]
async fn flush_ends_the_linger_and_gives_up_at_its_time_out() {
    let (producer, stream, transport) = start(slow(), ReportMode::Tickets).await;
    let ticket = stream.try_put(record(b"1")).unwrap();
    assert!(soon(producer.flush(LONG)).await);
    assert!(ticket.report().unwrap().is_stored());
    transport.always(Answer::Hangs);
    let ticket = stream.try_put(record(b"2")).unwrap();
    assert!(!soon(producer.flush(SHORT)).await);
    assert!(ticket.report().is_none());
    transport.release();
    assert!(soon(producer.flush(LONG)).await);
    assert!(ticket.report().unwrap().is_stored());
}

#[tokio::test]
async fn a_flush_ends_when_the_producer_is_aborted() {
    let (producer, stream, transport) = start(slow(), ReportMode::Tickets).await;
    transport.always(Answer::Hangs);
    drop(stream.try_put(record(b"1")).unwrap());
    let abort = async {
        transport.requested(1).await;
        producer.abort()
    };
    let (_, aborted) = soon(async { tokio::join!(producer.flush(LONG), abort) }).await;
    assert_eq!(aborted, 1);
}

#[tokio::test]
async fn a_stream_opened_after_the_end_refuses() {
    let (producer, _, _) = start(config(), ReportMode::Tickets).await;
    producer.abort();
    let late = producer.stream("late").unwrap();
    assert_eq!(late.try_put(record(b"1")).unwrap_err(), PutError::Closed);
}

/// Answers arrive while the producer is aborted: each user record is reported once, and before the abort is over.
#[tokio::test(flavor = "multi_thread")]
async fn an_abort_waits_for_reports_that_are_under_way() {
    for round in 0..200 {
        let (producer, stream, transport) = start(config(), ReportMode::Queue).await;
        transport.always(Answer::Hangs);
        for n in 0..100 {
            stream.try_put_detached(record(b"1"), n).unwrap();
        }
        transport.requested(1).await;
        let release = std::thread::spawn(move || transport.release());
        if round % 2 == 0 {
            std::thread::yield_now();
        }
        producer.abort();
        let mut numbers = Vec::new();
        loop {
            let reports = producer.poll_reports(usize::MAX, Duration::ZERO);
            if reports.is_empty() {
                break;
            }
            numbers.extend(reports.iter().map(|(number, _)| number));
        }
        numbers.sort_unstable();
        assert_eq!(numbers, Vec::from_iter(0..100), "round {round}");
        assert_eq!(producer.outstanding().records, 0);
        release.join().unwrap();
    }
}

/// Answers arrive while a flush looks: it is over when the reports are there, not when they are on their way.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_flushed_finds_the_reports() {
    let (producer, stream, _) = start(config(), ReportMode::Tickets).await;
    for round in 0..3000 {
        let ticket = stream.try_put(record(b"1")).unwrap();
        assert!(soon(producer.flush(LONG)).await);
        assert!(ticket.report().is_some(), "round {round}");
    }
}

/// Several threads put as fast as they can when the producer is flushed and aborted: what was taken has its report when the abort is
/// over, whatever it went through, and what comes later is refused.
#[tokio::test(flavor = "multi_thread")]
async fn an_abort_among_many_callers_leaves_none_of_them_without_a_report() {
    for round in 0..30 {
        let (producer, stream, _) = start(config().max_outstanding_records(100_000), ReportMode::Tickets).await;
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let stream = stream.clone();
                std::thread::spawn(move || {
                    let mut tickets = Vec::new();
                    loop {
                        match stream.try_put(record(b"1")) {
                            Ok(ticket) => tickets.push(ticket),
                            Err(PutError::QueueFull) => std::thread::yield_now(),
                            Err(why) => return (tickets, why),
                        }
                    }
                })
            })
            .collect();
        assert!(soon(producer.flush(LONG)).await);
        producer.abort();
        let mut taken = 0;
        for caller in callers {
            let (tickets, why) = caller.join().unwrap();
            assert_eq!(why, PutError::Closed);
            assert!(tickets.iter().all(|ticket| ticket.report().is_some()), "round {round}");
            taken += tickets.len() as u64;
        }
        let counters = producer.counters();
        assert_eq!(taken, counters.user_records_received);
        assert_eq!(taken, counters.user_records_stored + counters.user_records_failed);
        assert_eq!((producer.outstanding().records, producer.outstanding().bytes), (0, 0));
    }
}
