//! What a panic in the core leaves behind: a report for everything, room for others, and refusals. And how drivers share
//! connections.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use super::budget::Budget;
use super::clock::Clock;
use super::driver::Driver;
use super::reports::{Budgets, ReportQueue};
use super::stream::{Delivered, StreamShared};
use super::transport::{Request, Response, Transport};
use super::worker::Worker;
use super::{Placed, ProducerShared, ReportMode, Ticket, wait};
use crate::config::Config;
use crate::core::outcome::{EntryOutcome, Shard, ShardPage};
use crate::error::{Failure, PutError};
use crate::record::{HashKey, SequenceNumber, ShardId, UserRecord};
use crate::time::Time;

fn stream(delivered: Delivered) -> StreamShared {
    stream_with("orders", &Config::new(), delivered)
}

fn stream_with(name: &str, config: &Config, delivered: Delivered) -> StreamShared {
    let budgets = Budgets { producer: Arc::new(Budget::new(10, 10_000_000)), stream: None };
    StreamShared::new(name.into(), config.for_stream(name), 7, Clock::start(), budgets, delivered)
}

/// The only shard of a stream.
fn shard() -> Shard {
    Shard { id: ShardId::new("shardId-0"), first: HashKey(0), last: HashKey(u128::MAX), open: true }
}

fn break_down(stream: &StreamShared) {
    let broken = catch_unwind(AssertUnwindSafe(|| stream.enter(|_, _| -> () { panic!("a bug in the core") })));
    assert!(broken.is_err());
}

#[test]
fn a_breakdown_reports_every_ticket_and_gives_the_room_back() {
    let stream = stream(Delivered::Tickets);
    let prepared = stream.prepare(UserRecord::new("key", b"data"), None).unwrap();
    let mut tickets = Vec::new();
    let (taken, stopped) = stream.try_put_all(&[prepared; 3], |placed| match placed {
        Placed::Ticket(block, index) => tickets.push(Ticket::new(block, index)),
        Placed::Detached => {}
    });
    assert_eq!((taken, stopped), (3, None));
    assert_eq!(stream.budgets.producer.outstanding(), (3, 21));
    break_down(&stream);
    assert_eq!(stream.try_put_all(&[prepared], |_| {}), (0, Some(PutError::Poisoned)));
    assert_eq!(stream.counters().user_records_received, 3);
    assert_eq!(stream.abort(), 3);
    assert!(tickets.iter().all(|ticket| ticket.report().unwrap().failure() == Some(&Failure::Aborted)));
    assert_eq!(stream.budgets.producer.outstanding(), (0, 0));
    assert_eq!(stream.abort(), 0);
}

#[test]
fn a_breakdown_in_one_stripe_reports_what_went_through_all() {
    let stream = stream(Delivered::Tickets);
    let prepared = stream.prepare(UserRecord::new("key", b"data"), None).unwrap();
    let mut tickets = Vec::new();
    let mut keep = |placed| match placed {
        Placed::Ticket(block, index) => tickets.push(Ticket::new(block, index)),
        Placed::Detached => {}
    };
    for stripe in [0, 1] {
        stream.stripes.move_to(stripe);
        assert_eq!(stream.try_put_all(&[prepared; 2], &mut keep), (2, None));
    }
    // Under the lock of a stripe alone: there is room in its open aggregate.
    assert_eq!(stream.try_put_all(&[prepared], |_| panic!("a bug in the core")), (1, None));
    assert_eq!(stream.try_put_all(&[prepared], &mut keep), (0, Some(PutError::Poisoned)));
    // The others do not know yet.
    stream.stripes.move_to(0);
    assert_eq!(stream.try_put_all(&[prepared], &mut keep), (1, None));
    assert!(stream.enter(|_, _| ()).is_none());
    assert!(!stream.is_flushed(0, Waker::noop()));
    assert_eq!(stream.abort(), 6, "five and the one whose place nobody learnt");
    assert_eq!(stream.try_put_all(&[prepared], &mut keep), (0, Some(PutError::Poisoned)));
    assert!(stream.is_flushed(0, Waker::noop()));
    assert!(tickets.iter().all(|ticket| ticket.report().unwrap().failure() == Some(&Failure::Aborted)));
    assert_eq!((tickets.len(), stream.budgets.producer.outstanding()), (5, (0, 0)));
}

#[test]
fn a_breakdown_reports_every_number_and_its_room_comes_back_when_they_are_taken() {
    let queue: Arc<ReportQueue> = Arc::default();
    let stream = stream(Delivered::Queue(Arc::clone(&queue)));
    for number in 0..3 {
        let prepared = stream.prepare(UserRecord::new("key", b"data"), Some(number)).unwrap();
        assert_eq!(stream.try_put_all(&[prepared], |_| {}), (1, None));
    }
    break_down(&stream);
    assert_eq!(stream.abort(), 3);
    assert_eq!(stream.budgets.producer.outstanding(), (3, 21));
    let reports = queue.poll(10, &stream.clock, Time::ZERO + Duration::ZERO);
    assert_eq!(reports.iter().map(|(number, _)| number).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(stream.budgets.producer.outstanding(), (0, 0));
}

/// Stores everything, tells the names of the streams, and knows nothing of shards.
struct Naming(mpsc::UnboundedSender<Arc<str>>);

impl Transport for Naming {
    fn call(&self, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send + '_>> {
        Box::pin(async move {
            let Request::PutRecords { stream, records } = request else { return std::future::pending().await };
            self.0.send(stream).unwrap();
            let stored = EntryOutcome::Stored { shard_id: shard().id, sequence_number: SequenceNumber::new("1") };
            Response::PutRecords(Ok(vec![stored; records.len()]))
        })
    }
}

#[test]
fn a_refused_put_wakes_the_driver_for_the_moment_when_there_is_room() {
    let config = Config::new().aggregation_enabled(false).rate_limit(1).record_ttl(Duration::from_secs(3));
    let stream = stream_with("orders", &config, Delivered::Tickets);
    let page = ShardPage { shards: vec![shard()], next_token: None };
    stream.enter(|pipeline, now| {
        pipeline.handle_timeout(now);
        pipeline.handle_shard_list(Ok(page), now);
    });
    // At 10 KiB a second this is ten seconds of debt.
    let data = vec![7; 110_000];
    let large = stream.prepare(UserRecord::new("key", &data), None).unwrap();
    assert_eq!(stream.try_put_all(&[large], |_| {}), (1, None));
    stream.enter(|pipeline, now| {
        pipeline.flush(now);
        let request = pipeline.poll_transmit(now).unwrap();
        let stored = EntryOutcome::Stored { shard_id: shard().id, sequence_number: SequenceNumber::new("1") };
        pipeline.handle_put_records(request.id, Ok(vec![stored]), now);
        // Whenever its expiry would have been looked at.
        pipeline.handle_timeout(now + Duration::from_secs(4));
    });
    let mut notified = std::pin::pin!(stream.wake_driver.notified());
    // What the puts before asked for is past.
    let _ = notified.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let armed = stream.arm(false).unwrap();
    let mut notified = std::pin::pin!(stream.wake_driver.notified());
    assert!(notified.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let small = stream.prepare(UserRecord::new("key", b"data"), None).unwrap();
    assert_eq!(stream.try_put_all(&[small], |_| {}), (0, Some(PutError::QueueFull)));
    assert!(stream.arm(false).unwrap() < armed, "there is nothing to wake it for");
    assert!(notified.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

#[tokio::test]
async fn streams_take_turns_on_one_connection() {
    let config = Config::new().aggregation_enabled(false).collection_max_count(1);
    let connections = Arc::new(Semaphore::new(1));
    let (names, mut turns) = mpsc::unbounded_channel();
    let transport = Arc::new(Naming(names));
    let worker = Arc::new(Worker::start(1).unwrap());
    let taken = Arc::clone(&connections).try_acquire_owned().unwrap();
    let mut drivers = Vec::new();
    for name in ["a", "b", "c"] {
        let stream = Arc::new(stream_with(name, &config, Delivered::Tickets));
        stream.enter(|pipeline, now| {
            // It asks for its shards.
            pipeline.handle_timeout(now);
            pipeline.handle_shard_list(Ok(ShardPage { shards: vec![shard()], next_token: None }), now);
        });
        let prepared = stream.prepare(UserRecord::new("key", b"data"), None).unwrap();
        assert_eq!(stream.try_put_all(&[prepared; 3], |_| {}), (3, None));
        stream.enter(|pipeline, now| pipeline.flush(now));
        let (transport, worker, connections) = (transport.clone(), Arc::clone(&worker), Arc::clone(&connections));
        let mut driver = Box::pin(Driver { stream, transport, worker, connections }.run());
        // Now it stands in line.
        assert!(driver.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drivers.push(driver);
    }
    drivers.into_iter().for_each(|driver| drop(worker.spawn(driver)));
    drop(taken);
    for round in 0..3 {
        for expected in ["a", "b", "c"] {
            let turn = tokio::time::timeout(Duration::from_secs(20), turns.recv()).await.expect("nobody hangs");
            assert_eq!(turn.as_deref(), Some(expected), "round {round}");
        }
    }
}

#[test]
fn a_panic_while_reports_are_drained_loses_none_of_them() {
    let queue: Arc<ReportQueue> = Arc::default();
    let config = Config::new().aggregation_enabled(false);
    let stream = stream_with("orders", &config, Delivered::Queue(Arc::clone(&queue)));
    let put = |number| {
        let prepared = stream.prepare(UserRecord::new("key", b"data"), Some(number)).unwrap();
        assert_eq!(stream.try_put_all(&[prepared], |_| {}), (1, None));
    };
    put(0);
    // One that nobody accepted: when it is decided, the accounts do not add up.
    let stray = stream.prepare(UserRecord::new("key", b"stray data"), Some(9)).unwrap();
    stream.enter(|pipeline, now| pipeline.put(0, &stray.hashed, now)).unwrap().unwrap();
    put(1);
    assert!(catch_unwind(AssertUnwindSafe(|| stream.enter(|pipeline, now| pipeline.abort(now)))).is_err());
    assert_eq!(stream.abort(), 1, "one was drained before the panic");
    let reports = queue.poll(10, &stream.clock, Time::ZERO);
    assert_eq!(reports.iter().map(|(number, _)| number).collect::<Vec<_>>(), [0, 1]);
    drop(reports);
    assert_eq!(stream.budgets.producer.outstanding(), (0, 0));
}

#[test]
fn a_flush_that_nobody_waits_for_leaves_nothing_behind() {
    let (names, _turns) = mpsc::unbounded_channel();
    let worker = Arc::new(Worker::start(1).unwrap());
    let config = Config::new().record_max_buffered_time(Duration::from_secs(10));
    let transport = Arc::new(Naming(names));
    let producer = ProducerShared::new(config, ReportMode::Tickets, Arc::clone(&worker), transport).unwrap();
    let stream = producer.stream("orders");
    let prepared = stream.prepare(UserRecord::new("key", b"data"), None).unwrap();
    assert_eq!(stream.try_put_all(&[prepared], |_| {}), (1, None));
    // The only thread takes tasks in the order in which they come from outside.
    let all_ran = || wait(worker.spawn(async {}), &producer.clock, Time::NEVER).unwrap().unwrap();
    let mut flush = Box::pin(Arc::clone(&producer).flush(Time::NEVER));
    assert!(flush.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    all_ran();
    assert_eq!((Arc::strong_count(&producer), stream.flushes()), (3, 1));
    drop(flush);
    all_ran();
    assert_eq!((Arc::strong_count(&producer), stream.flushes()), (1, 0));
    assert_eq!(producer.abort(), 1);
}
