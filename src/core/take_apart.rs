//! Takes Kinesis records apart and seals their user records anew, by the shards of another map, or by hash key while there is
//! none. It hashes every partition key, so it runs as a [`Job`] outside the stream's lock; the pipeline keeps the originals
//! until the result is back, so that an abort loses nothing.

use std::collections::HashMap;
use std::sync::Arc;

use super::digest::key_digest;
use super::lane::LaneId;
use super::resharding::Landing;
use super::sealed::{Members, Sealed};
use super::shard_map::{ShardMap, ShardRange};
use crate::record::HashKey;
use crate::wire::{AggregateWriter, Keyed, KinesisRecord, Payload, SealedAggregate, UserRecordRef, md5};

/// Work that needs no connection from the pool.
#[derive(Debug)]
pub enum Job {
    /// Ask for a page of the shard list; the answer goes to [`super::Pipeline::handle_shard_list`].
    ListShards {
        /// From the page before.
        next_token: Option<String>,
    },
    /// Call [`TakeApart::run`] and give the result to [`super::Pipeline::handle_taken_apart`].
    TakeApart(TakeApart),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct JobId(pub(super) u64);

/// What the pipeline keeps of a job.
#[derive(Debug)]
pub(super) struct AtWork {
    pub(super) lane: LaneId,
    pub(super) originals: Vec<Sealed>,
    /// Where they were stored, if their user records may belong to other shards.
    pub(super) stored: Option<Landing>,
    /// It is back, but with order kept an earlier job of the lane is not.
    pub(super) result: Option<TakenApart>,
}

/// Kinesis records to take apart.
#[derive(Debug)]
pub struct TakeApart {
    pub(super) id: JobId,
    pub(super) map: Option<Arc<ShardMap>>,
    pub(super) map_version: u64,
    pub(super) originals: Vec<Sealed>,
    /// User records in this range are stored already.
    pub(super) stored_in: Option<ShardRange>,
}

/// The result of [`TakeApart::run`].
#[derive(Debug)]
pub struct TakenApart {
    pub(super) id: JobId,
    pub(super) map_version: u64,
    /// Sealed anew, with the index of their shard in the map.
    pub(super) pieces: Vec<(Option<usize>, Sealed)>,
    /// The user records that are stored already, and their places in the aggregate that was stored.
    pub(super) stored: Vec<(Sealed, Vec<u32>)>,
}

impl TakeApart {
    /// Hashes and seals anew. Runs on: any thread, without a lock; 150 ns a user record and more.
    #[must_use]
    pub fn run(self) -> TakenApart {
        let mut result =
            TakenApart { id: self.id, map_version: self.map_version, pieces: Vec::new(), stored: Vec::new() };
        for original in &self.originals {
            match &original.record.payload {
                Payload::Aggregate(aggregate) => self.split(original, aggregate, &mut result),
                Payload::Plain(_) => {
                    let mut whole = original.clone();
                    let hash_key =
                        *whole.record.hash_key.get_or_insert_with(|| md5::hash_key(original.partition_key()));
                    result.put(self.place(hash_key), whole, vec![0]);
                }
            }
        }
        result
    }

    fn split(&self, original: &Sealed, aggregate: &SealedAggregate, result: &mut TakenApart) {
        let mut index = HashMap::with_hasher(foldhash::fast::FixedState::default());
        let mut groups: Vec<Group> = Vec::new();
        for (position, user) in aggregate.iter().enumerate() {
            let hash_key = user.explicit_hash_key.unwrap_or_else(|| md5::hash_key(user.partition_key));
            let place = self.place(hash_key);
            let number = *index.entry(place).or_insert(groups.len());
            if number == groups.len() {
                groups.push(Group::new(place, hash_key));
            }
            if let Some(group) = groups.get_mut(number) {
                group.add(&user);
                group.positions.push(position as u32);
                group.members.push_from(&original.members, position);
            }
        }
        match groups.as_mut_slice() {
            // Nothing to split: the bytes stay as they are.
            [only] => {
                let record = original.record.with_hash_key(only.hash_key);
                result.put(only.place, Sealed { record, ..original.clone() }, std::mem::take(&mut only.positions));
            }
            _ => {
                for mut group in groups {
                    let positions = std::mem::take(&mut group.positions);
                    result.put(group.place, group.seal(original), positions);
                }
            }
        }
    }

    fn place(&self, hash_key: HashKey) -> Place {
        match (&self.stored_in, &self.map) {
            (Some(range), _) if range.contains(hash_key) => Place::Stored,
            (_, Some(map)) => Place::Shard(map.find(hash_key)),
            (_, None) => Place::HashKey(hash_key),
        }
    }
}

impl TakenApart {
    fn put(&mut self, place: Place, sealed: Sealed, positions: Vec<u32>) {
        match place {
            Place::Stored => self.stored.push((sealed, positions)),
            Place::Shard(shard) => self.pieces.push((Some(shard), sealed)),
            Place::HashKey(_) => self.pieces.push((None, sealed)),
        }
    }
}

/// Where a user record belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Stored,
    Shard(usize),
    HashKey(HashKey),
}

/// The user records of one aggregate that belong to one place. It cannot outgrow the aggregate that it comes from.
struct Group {
    place: Place,
    writer: AggregateWriter,
    members: Members,
    /// Their places in the aggregate that they come from.
    positions: Vec<u32>,
    user_bytes: usize,
    hash_key: HashKey,
}

impl Group {
    fn new(place: Place, hash_key: HashKey) -> Group {
        let writer = AggregateWriter::new();
        Group { place, writer, members: Members::default(), positions: Vec::new(), user_bytes: 0, hash_key }
    }

    fn add(&mut self, user: &UserRecordRef<'_>) {
        let keyed = Keyed {
            partition_key: user.partition_key,
            key_digest: key_digest(user.partition_key),
            explicit_hash_key: user.explicit_hash_key,
            data: user.data,
        };
        let fits = self.writer.try_append(&keyed, usize::MAX);
        debug_assert!(fits, "an aggregate without limit takes any user record");
        self.user_bytes += user.partition_key.len() + user.data.len();
    }

    fn seal(self, original: &Sealed) -> Sealed {
        Sealed {
            record: KinesisRecord::from_aggregate(self.writer.seal(), Some(self.hash_key)),
            members: self.members,
            user_bytes: self.user_bytes,
            order: original.order,
            deadline: original.deadline,
            history: original.history.clone(),
            possibly_stored: original.possibly_stored,
        }
    }
}
