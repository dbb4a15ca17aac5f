//! Open aggregates: one for each lane and intake at most, sealed when full or when their deadline comes. Buffered time is one
//! figure a stream, so the deadlines are a FIFO queue.

use std::collections::VecDeque;
use std::time::Duration;

use super::lane::LaneId;
use super::sealed::{History, Members, Sealed, Token};
use crate::metrics::DataSizes;
use crate::record::HashKey;
use crate::time::Time;
use crate::wire::{AggregateWriter, Keyed, KinesisRecord, Payload, Shape};

/// Buffers kept for the next aggregates.
const SPARE: usize = 64;

/// An aggregate that still grows. What other callers write to lies in other cache lines.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct OpenAggregate {
    writer: AggregateWriter,
    members: Members,
    first_hash_key: Option<HashKey>,
    block: u32,
    /// Its first user record's number in put order.
    number: u64,
    serial: u64,
    deadline: Time,
    /// The deadline has passed, but others are queued before it in its lane.
    pub(super) overdue: bool,
    user_bytes: usize,
    data: DataSizes,
}

impl OpenAggregate {
    /// Appends a user record unless the aggregate would grow beyond `max_bytes`.
    #[inline]
    pub(super) fn try_append(&mut self, record: &Keyed<'_>, max_bytes: usize, now: Time) -> Option<Token> {
        if !self.writer.try_append(record, max_bytes) {
            return None;
        }
        let token = Token { block: self.block, index: self.members.len() as u32 };
        self.members.push(token, self.number, now);
        self.user_bytes += record.partition_key.len() + record.data.len();
        self.data.add(record.data.len());
        Some(token)
    }

    pub(super) fn user_records(&self) -> usize {
        self.members.len()
    }

    pub(super) fn encoded_len(&self) -> usize {
        self.writer.encoded_len()
    }

    pub(super) fn user_bytes(&self) -> usize {
        self.user_bytes
    }

    /// When its first user record arrived.
    pub(super) fn arrived(&self) -> Time {
        self.members.base()
    }

    /// When its first user record expires.
    pub(super) fn expires(&self, ttl: Duration) -> Time {
        self.members.expires(ttl)
    }

    pub(super) fn block(&self) -> u32 {
        self.block
    }

    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    /// For the next one of its lane.
    pub(super) fn shape(&self) -> (Shape, usize) {
        (self.writer.shape(), self.members.len())
    }

    /// Fixes the bytes; gives the buffers back where that costs less than keeping them.
    pub(super) fn seal(self) -> (Sealed, Option<AggregateWriter>) {
        let (aggregate, buffers) = self.writer.seal_compact();
        let mut members = self.members;
        members.compact();
        let sealed = Sealed {
            record: KinesisRecord::from_aggregate(aggregate, self.first_hash_key),
            members,
            user_bytes: self.user_bytes,
            data: self.data,
            predicted: None,
            deadline: self.deadline,
            history: History::default(),
            possibly_stored: false,
        };
        (sealed, buffers)
    }
}

/// When an open aggregate is to be sealed.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    at: Time,
    intake: usize,
    lane: LaneId,
    serial: u64,
}

/// The deadlines of the open aggregates, and buffers to reuse.
#[derive(Debug, Default)]
pub(super) struct Aggregator {
    deadlines: VecDeque<Deadline>,
    opened: u64,
    spare: Vec<AggregateWriter>,
}

/// What a new aggregate starts with.
pub(super) struct Opening {
    pub(super) intake: usize,
    pub(super) lane: LaneId,
    pub(super) block: u32,
    pub(super) number: u64,
    pub(super) deadline: Time,
    pub(super) hash_key: Option<HashKey>,
    /// What the last one of the lane held, and how many user records.
    pub(super) shape: (Shape, usize),
}

impl Aggregator {
    pub(super) fn open(&mut self, opening: &Opening) -> Box<OpenAggregate> {
        self.opened += 1;
        let Opening { intake, lane, deadline: at, .. } = *opening;
        self.deadlines.push_back(Deadline { at, intake, lane, serial: self.opened });
        Box::new(OpenAggregate {
            writer: self.spare.pop().unwrap_or_else(|| AggregateWriter::with_shape(&opening.shape.0)),
            members: Members::with_capacity(opening.shape.1),
            first_hash_key: opening.hash_key,
            block: opening.block,
            number: opening.number,
            serial: self.opened,
            deadline: opening.deadline,
            overdue: false,
            user_bytes: 0,
            data: DataSizes::default(),
        })
    }

    /// Where the open aggregate with the earliest deadline is, if that is at or before `until`. `is_open` tells whether an intake's
    /// open aggregate for a lane still has this serial number.
    pub(super) fn pop_due(
        &mut self,
        until: Time,
        is_open: impl Fn(usize, LaneId, u64) -> bool,
    ) -> Option<(usize, LaneId)> {
        while let Some(&Deadline { at, intake, lane, serial }) = self.deadlines.front() {
            if !is_open(intake, lane, serial) {
                self.deadlines.pop_front();
            } else if at <= until {
                self.deadlines.pop_front();
                return Some((intake, lane));
            } else {
                return None;
            }
        }
        None
    }

    /// When to seal next. May name an aggregate that was sealed since.
    pub(super) fn next_deadline(&self) -> Time {
        self.deadlines.front().map_or(Time::NEVER, |deadline| deadline.at)
    }

    /// Takes back the buffers of what was decided.
    pub(super) fn recycle(&mut self, payload: Payload) {
        if let Payload::Aggregate(aggregate) = payload {
            self.keep(aggregate.into_writer());
        }
    }

    /// Keeps buffers for the next aggregates.
    pub(super) fn keep(&mut self, buffers: Option<AggregateWriter>) {
        if self.spare.len() < SPARE {
            self.spare.extend(buffers);
        }
    }
}
