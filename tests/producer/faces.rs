//! The blocking face, and the async one on executors that are not tokio's.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use kinesis_producer::{PutError, ReportMode, Stored, blocking};

use super::transport::Answer;
use super::*;

fn blocking_start(config: Config) -> (blocking::Producer, blocking::Stream, Arc<Scripted>) {
    let transport = Arc::new(Scripted::default());
    let producer = blocking::Producer::build(Producer::builder(config).transport(transport.clone())).unwrap();
    let stream = producer.stream("orders").unwrap();
    (producer, stream, transport)
}

#[test]
fn a_blocking_put_gives_up_at_its_time_out_and_keeps_nothing() {
    let (producer, stream, transport) = blocking_start(config().max_outstanding_records(1));
    transport.always(Answer::Hangs);
    let mut ticket = stream.put(record(b"1"), LONG).unwrap();
    assert_eq!(stream.put(record(b"2"), SHORT).unwrap_err(), PutError::TimedOut);
    assert_eq!(stream.put(record(b"2"), Duration::ZERO).unwrap_err(), PutError::TimedOut);
    let many = stream.put_many(&[record(b"2"); 3], SHORT);
    assert_eq!((many.accepted, many.stopped), (0, Some(PutError::TimedOut)));
    assert_eq!(stream.report(&mut ticket, SHORT).map(|report| report.stored()), None);
    transport.release();
    let many = stream.put_many(&[record(b"3"); 3], LONG);
    assert_eq!((many.accepted, many.stopped), (3, None));
    assert_eq!(stream.report(&mut ticket, LONG).map(|report| report.stored()), Some(Stored::Yes));
    assert_eq!(producer.close(LONG), 0);
    assert_eq!(producer.counters().user_records_received, 4);
}

#[tokio::test]
async fn the_blocking_face_works_inside_a_runtime() {
    let (producer, stream, _) = blocking_start(config());
    let mut ticket = stream.put(record(b"1"), LONG).unwrap();
    assert!(stream.report(&mut ticket, LONG).is_some());
    assert!(producer.flush(LONG));
    assert_eq!(producer.close(LONG), 0);
    drop(producer);
    let (producer, stream, _) = blocking_start(config());
    drop(stream.put(record(b"2"), LONG).unwrap());
    drop(producer);
}

struct Unpark(Thread, AtomicBool);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.store(true, SeqCst);
        self.0.unpark();
    }
}

/// The smallest executor; it polls only when woken.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let woken = Arc::new(Unpark(std::thread::current(), AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut future = pin!(future);
    let patience = std::time::Instant::now();
    loop {
        if woken.1.swap(false, SeqCst)
            && let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker))
        {
            return value;
        }
        assert!(patience.elapsed() < LONG, "nobody woke it");
        std::thread::park_timeout(LONG);
    }
}

#[test]
fn the_async_face_needs_no_runtime_of_the_callers() {
    block_on(async {
        let (producer, stream, _) = start(config().max_outstanding_records(2), ReportMode::Tickets).await;
        let records = vec![record(b"1"); 50];
        let many = stream.put_many(&records).await;
        assert_eq!((many.accepted, many.stopped), (50, None));
        for ticket in many.tickets {
            assert!(ticket.await.is_stored());
        }
        assert!(producer.flush(LONG).await);
        assert_eq!(producer.close(LONG).await, 0);
    });
}
