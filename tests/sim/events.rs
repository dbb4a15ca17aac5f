//! The queue of events: by time, and in the order of their making where the time is the same.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use kinesis_producer::core::outcome::{ListShardsOutcome, PutRecordsOutcome};
use kinesis_producer::core::{RequestId, TakeApart};

use super::service::WireEntry;

#[derive(Debug)]
pub(crate) enum Event {
    // Of the process: they wait while it is frozen.
    Caller(usize),
    Wake(usize, u64),
    Answer(usize, RequestId, PutRecordsOutcome),
    ListAnswer(usize, ListShardsOutcome),
    JobDone(usize, Box<TakeApart>),
    Flush(usize),
    Freeze(u64),
    Abort,
    EndOfPuts,
    // Of the world.
    Arrive { stream: usize, id: RequestId, entries: Vec<WireEntry>, answered: bool },
    ListArrive { stream: usize, token: Option<String>, answer_after: u64 },
    Reshard(usize),
}

impl Event {
    pub(crate) fn is_of_the_process(&self) -> bool {
        !matches!(self, Event::Arrive { .. } | Event::ListArrive { .. } | Event::Reshard(_))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Events {
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    events: std::collections::HashMap<u64, Event>,
    made: u64,
}

impl Events {
    pub(crate) fn push(&mut self, at: u64, event: Event) {
        self.heap.push(Reverse((at, self.made)));
        self.events.insert(self.made, event);
        self.made += 1;
    }

    pub(crate) fn next(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Event)> {
        let Reverse((at, number)) = self.heap.pop()?;
        Some((at, self.events.remove(&number).expect("every number has its event")))
    }
}
