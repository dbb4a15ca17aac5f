//! What a panic in the core leaves behind: a report for everything, room for others, and refusals.

use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;
use super::clock::Clock;
use super::reports::{Budgets, ReportQueue};
use super::stream::{Delivered, StreamShared};
use super::{Placed, Ticket};
use crate::config::Config;
use crate::error::{Failure, PutError};
use crate::record::UserRecord;
use crate::time::Time;

fn stream(delivered: Delivered) -> StreamShared {
    let budgets = Budgets { producer: Arc::new(Budget::new(10, 10_000_000)), stream: None };
    StreamShared::new("orders".into(), Config::new().for_stream("orders"), 7, Clock::start(), budgets, delivered)
}

fn break_down(stream: &StreamShared) {
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        stream.enter(|_, _| -> () { panic!("a bug in the core") })
    }));
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
    assert_eq!(stream.abort(), 3);
    assert!(tickets.iter().all(|ticket| ticket.report().unwrap().failure() == Some(&Failure::Aborted)));
    assert_eq!(stream.budgets.producer.outstanding(), (0, 0));
    assert_eq!(stream.abort(), 0);
}

#[test]
fn a_breakdown_reports_every_number_and_its_room_comes_back_with_the_reports() {
    let queue: Arc<ReportQueue> = Arc::default();
    let stream = stream(Delivered::Queue(Arc::clone(&queue)));
    for number in 0..3 {
        let prepared = stream.prepare(UserRecord::new("key", b"data"), Some(number)).unwrap();
        assert_eq!(stream.try_put_all(&[prepared], |_| {}), (1, None));
    }
    break_down(&stream);
    assert_eq!(stream.abort(), 3);
    let reports = queue.poll(10, &stream.clock, Time::ZERO + Duration::ZERO);
    assert_eq!(reports.iter().map(|(number, _)| number).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(stream.budgets.producer.outstanding(), (3, 21));
    drop(reports);
    assert_eq!(stream.budgets.producer.outstanding(), (0, 0));
}
