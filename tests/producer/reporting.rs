//! The three ways of reporting.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Barrier, Mutex};

use kinesis_producer::error::ErrorKind;
use kinesis_producer::{Failure, PutError, ReportMode, Reports, Stored, blocking};

use super::transport::Answer;
use super::*;

#[tokio::test]
async fn dropping_a_ticket_drops_nothing_else_and_detached_puts_count() {
    let (producer, stream, transport) = start(config(), ReportMode::Tickets).await;
    transport.always(Answer::Hangs);
    drop(stream.try_put(record(b"1")).unwrap());
    stream.try_put_detached(record(b"2"), 7).unwrap();
    soon(stream.put_detached(record(b"3"), 8)).await.unwrap();
    assert_eq!(producer.outstanding().records, 3);
    transport.release();
    assert_eq!(soon(producer.close(LONG)).await, 0);
    assert_eq!(producer.counters().user_records_stored, 3);
    assert_eq!(producer.outstanding().records, 0);
}

#[tokio::test]
async fn failed_attempts_are_told_in_the_report() {
    let (_producer, stream, transport) = start(config(), ReportMode::Tickets).await;
    transport.then(Answer::Throttled);
    transport.then(Answer::Fails);
    let report = soon(stream.try_put(record(b"1")).unwrap()).await;
    assert!(report.is_stored());
    let codes: Vec<_> = report.attempts().map(|attempt| attempt.error_code.map(str::to_owned)).collect();
    let expected =
        [Some("ProvisionedThroughputExceededException".to_owned()), Some("InternalFailure".to_owned()), None];
    assert_eq!(codes, expected);
}

#[tokio::test]
async fn a_transport_that_panics_loses_nothing() {
    let (_producer, stream, transport) = start(config(), ReportMode::Tickets).await;
    transport.then(Answer::Panics);
    assert!(soon(stream.try_put(record(b"1")).unwrap()).await.is_stored());
    let settings = config().record_ttl(Duration::from_secs(1));
    let (producer, stream, transport) = start(settings, ReportMode::Tickets).await;
    transport.always(Answer::Panics);
    let report = soon(stream.try_put(record(b"2")).unwrap()).await;
    assert_eq!((report.failure(), report.stored()), (Some(&Failure::Expired), Stored::Possibly));
    assert_eq!(producer.outstanding().records, 0);
}

#[tokio::test]
async fn a_queue_gives_one_report_a_number_and_holds_the_room_until_they_are_taken() {
    let (producer, stream, _) = start(config().max_outstanding_records(3), ReportMode::Queue).await;
    assert_eq!(stream.try_put(record(b"0")).unwrap_err(), PutError::WrongReportMode);
    for n in 0..3 {
        stream.try_put_detached(record(b"1"), n).unwrap();
    }
    assert!(soon(producer.flush(LONG)).await);
    assert_eq!(producer.outstanding().records, 3);
    assert_eq!(soon(stream.put_detached(record(b"2"), 3)).await, Err(PutError::QueueFull), "nobody else makes room");
    let mut reports: Vec<Reports> = Vec::new();
    while reports.iter().map(Reports::len).sum::<usize>() < 3 {
        reports.push(producer.poll_reports(100, LONG));
    }
    let mut numbers: Vec<u64> = reports.iter().flat_map(Reports::iter).map(|(number, _)| number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2]);
    assert_eq!(producer.outstanding().records, 0);
    for reports in &reports {
        let each: Vec<u64> = (0..reports.len()).map(|row| reports.get(row).unwrap().0).collect();
        assert_eq!(each, reports.iter().map(|(number, _)| number).collect::<Vec<_>>());
        assert!(reports.get(reports.len()).is_none());
        assert!(reports.failures().all(|(_, failure)| failure.is_none()));
    }
    soon(stream.put_detached(record(b"2"), 3)).await.unwrap();
    assert_eq!(producer.close(LONG).await, 0);
    assert_eq!(producer.poll_reports(100, LONG).iter().map(|(number, _)| number).collect::<Vec<_>>(), [3]);
    assert!(producer.poll_reports(100, LONG).is_empty(), "the end wakes up at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_polls_is_woken_by_arrivals_and_by_the_end() {
    let (producer, stream, _) = start(config(), ReportMode::Queue).await;
    let producer = &producer;
    std::thread::scope(|scope| {
        let first = scope.spawn(move || producer.poll_reports(1, LONG).len());
        stream.try_put_detached(record(b"1"), 1).unwrap();
        assert_eq!(first.join().unwrap(), 1);
        let (polls, polling) = mpsc::channel();
        let second = scope.spawn(move || {
            polls.send(()).unwrap();
            producer.poll_reports(1, Duration::MAX).len()
        });
        polling.recv().unwrap();
        producer.abort();
        assert_eq!(second.join().unwrap(), 0);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_several_who_poll_gets_its_part_of_one_arrival() {
    let settings = config().record_max_buffered_time(Duration::from_secs(5));
    let (producer, stream, _) = start(settings, ReportMode::Queue).await;
    // Alone, each is a Kinesis record of its own, and all are answered together.
    let large = vec![1; 1000];
    let producer = &producer;
    let records: Vec<_> = (0..400).map(|n| (record(&large), n)).collect();
    // Some find the reports there, most wait for them.
    for _ in 0..20 {
        let start = Barrier::new(5);
        std::thread::scope(|scope| {
            let poll = || {
                start.wait();
                producer.poll_reports(1, LONG).len()
            };
            let polls: Vec<_> = (0..4).map(|_| scope.spawn(poll)).collect();
            start.wait();
            assert_eq!(stream.try_put_many_detached(records.iter().copied()).accepted, 400);
            assert!(tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(producer.flush(LONG))));
            assert!(polls.into_iter().all(|poll| poll.join().unwrap() > 0));
        });
        while !producer.poll_reports(usize::MAX, Duration::ZERO).is_empty() {}
    }
}

#[test]
fn callbacks_come_one_at_a_time_and_a_panic_in_one_does_not_stop_the_next() {
    let seen = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0)));
    let (called, calls) = mpsc::channel();
    let inside: Arc<Mutex<Option<blocking::Stream>>> = Arc::default();
    let callback = {
        let (seen, inside) = (Arc::clone(&seen), Arc::clone(&inside));
        move |reports: Reports| {
            assert_eq!(seen.0.fetch_add(1, SeqCst), 0, "two calls at once");
            let before = seen.1.fetch_add(reports.len(), SeqCst);
            seen.0.fetch_sub(1, SeqCst);
            called.send(before + reports.len()).unwrap();
            if before == 0 {
                let stream = inside.lock().unwrap().clone().unwrap();
                stream.put_detached(record(b"again"), 99, LONG).unwrap();
                seen.2.fetch_add(1, SeqCst);
                panic!("a bug of the caller's");
            }
        }
    };
    let builder = Producer::builder(config()).transport(Arc::new(transport::Scripted::default()));
    let builder = builder.report_mode(ReportMode::Callback(Box::new(callback)));
    let producer = blocking::Producer::build(builder).unwrap();
    let stream = producer.stream("orders").unwrap();
    *inside.lock().unwrap() = Some(stream.clone());
    assert_eq!(stream.try_put(record(b"1")).unwrap_err(), PutError::WrongReportMode);
    for n in 0..100 {
        stream.put_detached(record(b"1"), n, LONG).unwrap();
    }
    while calls.recv_timeout(LONG).unwrap() < 101 {}
    assert_eq!(seen.2.load(SeqCst), 1);
    assert_eq!(producer.abort(), 0);
    // The dispatcher ends with the producer, and drops the callback.
    assert_eq!(calls.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    assert_eq!(producer.outstanding().records, 0);
}

/// Room comes when the callback has returned: others wait for that, but the callback itself must not.
#[test]
fn puts_wait_for_the_callback_unless_they_are_made_in_it() {
    let inside: Arc<Mutex<Option<blocking::Stream>>> = Arc::default();
    let results: Arc<Mutex<Vec<Result<(), PutError>>>> = Arc::default();
    let (entered, in_callback) = mpsc::channel();
    let (go_on, gone_on) = mpsc::channel::<()>();
    let callback = {
        let (inside, results) = (Arc::clone(&inside), Arc::clone(&results));
        move |_: Reports| {
            let stream = inside.lock().unwrap().clone().unwrap();
            if results.lock().unwrap().is_empty() {
                let result = stream.put_detached(record(b"inside"), 2, LONG);
                results.lock().unwrap().push(result);
                entered.send(()).unwrap();
                gone_on.recv_timeout(LONG).unwrap();
            }
        }
    };
    let builder = Producer::builder(config().max_outstanding_records(1));
    let builder = builder.transport(Arc::new(transport::Scripted::default()));
    let builder = builder.report_mode(ReportMode::Callback(Box::new(callback)));
    let producer = blocking::Producer::build(builder).unwrap();
    let stream = producer.stream("orders").unwrap();
    *inside.lock().unwrap() = Some(stream.clone());
    stream.put_detached(record(b"1"), 1, LONG).unwrap();
    in_callback.recv_timeout(LONG).unwrap();
    assert!(
        producer.poll_reports(1, LONG).is_empty(),
        "what is the callback's is not to be had, and nobody waits for it"
    );
    assert_eq!(*results.lock().unwrap(), [Err(PutError::QueueFull)]);
    assert_eq!(stream.put_detached(record(b"3"), 3, SHORT), Err(PutError::TimedOut), "it waits for the callback");
    go_on.send(()).unwrap();
    stream.put_detached(record(b"3"), 3, LONG).unwrap();
    assert_eq!(producer.close(LONG), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_descriptor_is_readable_as_long_as_there_are_reports_and_after_the_end() {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    let (producer, stream, _) = start(config(), ReportMode::Queue).await;
    let is_readable = |timeout: PollTimeout| {
        let mut fds = [PollFd::new(producer.reports_fd().unwrap(), PollFlags::POLLIN)];
        poll(&mut fds, timeout).unwrap() == 1
    };
    assert!(!is_readable(PollTimeout::ZERO));
    for n in 0..2 {
        stream.try_put_detached(record(&[1; 1000]), n).unwrap();
    }
    assert!(is_readable(PollTimeout::try_from(LONG).unwrap()));
    assert!(soon(producer.flush(LONG)).await);
    while producer.outstanding().records > 0 {
        assert!(is_readable(PollTimeout::ZERO));
        assert!(!producer.poll_reports(1, Duration::ZERO).is_empty());
    }
    assert!(!is_readable(PollTimeout::ZERO));
    producer.abort();
    assert!(is_readable(PollTimeout::ZERO), "nobody waits for what never comes");

    let (producer, _, _) = start(config(), ReportMode::Tickets).await;
    assert_eq!(producer.reports_fd().unwrap_err().kind(), ErrorKind::WrongReportMode);
}

/// The waker of a task whose executor has a bug.
struct Panicking;

impl std::task::Wake for Panicking {
    fn wake(self: Arc<Self>) {
        panic!("a bug of the caller's");
    }
}

#[tokio::test]
async fn a_waker_that_panics_harms_nobody_else() {
    let (producer, stream, transport) = start(config(), ReportMode::Tickets).await;
    transport.always(Answer::Hangs);
    let [mut first, second] = [b"1", b"2"].map(|data| stream.try_put(record(data)).unwrap());
    let panicking = std::task::Waker::from(Arc::new(Panicking));
    let context = &mut std::task::Context::from_waker(&panicking);
    assert!(std::pin::Pin::new(&mut first).poll(context).is_pending());
    let second = tokio::spawn(second);
    transport.requested(1).await;
    transport.release();
    assert!(soon(second).await.unwrap().is_stored());
    assert!(first.report().unwrap().is_stored());
    assert!(soon(stream.try_put(record(b"3")).unwrap()).await.is_stored());
    assert_eq!(producer.close(LONG).await, 0);
}
