//! Takes Kinesis records apart and seals their user records anew, by the shards of another map, or by hash key while there is
//! none. It hashes every partition key, so it runs as a [`Job`] outside the stream's lock; the pipeline keeps the originals
//! until the result is back, so that an abort loses nothing.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::digest::key_digest;
use super::lane::LaneId;
use super::resharding::Landing;
use super::sealed::{History, Members, Sealed};
use super::shard_map::{ShardMap, ShardRange};
use crate::metrics::DataSizes;
use crate::record::HashKey;
use crate::time::Time;
use crate::wire::{AggregateWriter, Keyed, KinesisRecord, Payload, Single, UserRecordRef, md5};

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
    pub(super) max_bytes: usize,
    pub(super) max_count: u64,
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

/// What a user record is taken out of, its place in there, and the user record; or a Kinesis record that is one as it is.
type Part<'a> = (&'a Sealed, usize, Option<UserRecordRef<'a>>);

impl TakeApart {
    /// Hashes and seals anew. Runs on: any thread, without a lock; 150 ns a user record and more.
    #[must_use]
    pub fn run(self) -> TakenApart {
        let mut result =
            TakenApart { id: self.id, map_version: self.map_version, pieces: Vec::new(), stored: Vec::new() };
        // What was never sent has no history that would have to stay apart: neighbours fill one another up.
        let fresh = self.originals.iter().all(|original| original.history.total == 0);
        let mut groups = Groups::new(if fresh { self.max_bytes } else { usize::MAX }, self.max_count);
        let mut run = Vec::new();
        for original in &self.originals {
            match &original.record.payload {
                Payload::Aggregate(aggregate) => {
                    run.extend(aggregate.iter().enumerate().map(|(position, user)| (original, position, Some(user))));
                }
                Payload::Plain(_) => run.push((original, 0, None)),
            }
            if !fresh {
                self.regroup(&mut run, &mut groups, &mut result);
            }
        }
        self.regroup(&mut run, &mut groups, &mut result);
        result
    }

    /// Empties `run` into aggregates.
    fn regroup(&self, run: &mut Vec<Part<'_>>, groups: &mut Groups, result: &mut TakenApart) {
        // Aggregates of different hash keys overlap in time, but inside each arrivals are in order: expiry cuts off the front. And
        // all of one hash key is in put order, whichever aggregate it comes out of.
        run.sort_by_key(|(original, position, _)| {
            let members = &original.members;
            (members.arrival(*position), members.number(*position))
        });
        for (original, position, user) in run.drain(..) {
            let Some(user) = user else {
                let mut whole = original.clone();
                let hash_key = *whole.record.hash_key.get_or_insert_with(|| md5::hash_key(original.partition_key()));
                groups.add_whole(self.place(hash_key), whole);
                continue;
            };
            let hash_key = user.explicit_hash_key.unwrap_or_else(|| md5::hash_key(user.partition_key));
            groups.add(self.place(hash_key), original, position, &user, hash_key);
        }
        groups.finish(result);
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

/// The user records taken apart so far, by place, in the order in which the places came up.
struct Groups {
    max_bytes: usize,
    max_count: u64,
    index: HashMap<Place, usize, foldhash::fast::FixedState>,
    open: Vec<Group>,
    /// Those that are full.
    sealed: Vec<(Place, Sealed, Vec<u32>)>,
}

impl Groups {
    fn new(max_bytes: usize, max_count: u64) -> Groups {
        Groups { max_bytes, max_count, index: HashMap::default(), open: Vec::new(), sealed: Vec::new() }
    }

    fn add(&mut self, place: Place, original: &Sealed, position: usize, user: &UserRecordRef<'_>, hash_key: HashKey) {
        let number = *self.index.entry(place).or_insert(self.open.len());
        if number == self.open.len() {
            self.open.push(Group::new(place, original, hash_key));
        }
        let Some(group) = self.open.get_mut(number) else { return };
        if group.members.len() as u64 >= self.max_count || !group.try_add(user, self.max_bytes) {
            let full = std::mem::replace(group, Group::new(place, original, hash_key));
            // Alone it fits, for it came out of an aggregate.
            group.try_add(user, usize::MAX);
            self.sealed.push(full.seal());
        }
        if let Some(group) = self.open.get_mut(number) {
            group.positions.push(position as u32);
            group.members.push_from(&original.members, position);
        }
    }

    /// What came before it must not be put together with what comes after it.
    fn add_whole(&mut self, place: Place, whole: Sealed) {
        self.index.remove(&place);
        self.sealed.push((place, whole, vec![0]));
    }

    fn finish(&mut self, result: &mut TakenApart) {
        self.index.clear();
        let open = self.open.drain(..).map(Group::seal);
        for (place, sealed, positions) in self.sealed.drain(..).chain(open) {
            result.put(place, sealed, positions);
        }
    }
}

/// The user records that belong to one place. While there is only one, it needs no buffers: without a shard map there may be as
/// many places as user records.
struct Group {
    place: Place,
    single: Option<Single>,
    writer: AggregateWriter,
    members: Members,
    /// Their places in the aggregate that they come from.
    positions: Vec<u32>,
    user_bytes: usize,
    data: DataSizes,
    hash_key: HashKey,
    deadline: Time,
    history: History,
    possibly_stored: bool,
}

impl Group {
    fn new(place: Place, original: &Sealed, hash_key: HashKey) -> Group {
        Group {
            place,
            single: None,
            writer: AggregateWriter::new(),
            members: Members::default(),
            positions: Vec::new(),
            user_bytes: 0,
            data: DataSizes::default(),
            hash_key,
            deadline: original.deadline,
            history: original.history.clone(),
            possibly_stored: original.possibly_stored,
        }
    }

    fn try_add(&mut self, user: &UserRecordRef<'_>, max_bytes: usize) -> bool {
        if self.members.is_empty() {
            self.single = Some(Single {
                partition_key: Bytes::copy_from_slice(user.partition_key.as_bytes()),
                explicit_hash_key: user.explicit_hash_key,
                data: Bytes::copy_from_slice(user.data),
            });
        } else {
            if let Some(first) = self.single.take() {
                self.write(&first.as_user_record(), usize::MAX);
            }
            if !self.write(user, max_bytes) {
                return false;
            }
        }
        self.user_bytes += user.partition_key.len() + user.data.len();
        self.data.add(user.data.len());
        true
    }

    fn write(&mut self, user: &UserRecordRef<'_>, max_bytes: usize) -> bool {
        let keyed = Keyed {
            partition_key: user.partition_key,
            key_digest: key_digest(user.partition_key),
            explicit_hash_key: user.explicit_hash_key,
            data: user.data,
        };
        self.writer.try_append(&keyed, max_bytes)
    }

    fn seal(self) -> (Place, Sealed, Vec<u32>) {
        let record = match self.single {
            Some(single) => KinesisRecord::from_single(single, Some(self.hash_key)),
            None => KinesisRecord::from_aggregate(self.writer.seal_compact().0, Some(self.hash_key)),
        };
        let sealed = Sealed {
            record,
            members: self.members,
            user_bytes: self.user_bytes,
            data: self.data,
            predicted: None,
            deadline: self.deadline,
            history: self.history,
            possibly_stored: self.possibly_stored,
        };
        (self.place, sealed, self.positions)
    }
}
