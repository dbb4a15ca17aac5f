//! What the pipeline was told of the shards of its stream, and what of it became its map.

use std::collections::HashSet;

use kinesis_producer::core::outcome::{ListShardsOutcome, Shard};
use kinesis_producer::core::{ShardMap, ShardRange};
use kinesis_producer::{HashKey, ShardId};

#[derive(Debug, Default)]
pub(crate) struct ToldShards {
    /// The pages of the present round, or of the last one.
    round: Vec<Shard>,
    complete: bool,
    map: Option<ShardMap>,
    /// The shards whose ranges it learnt with a map.
    known: HashSet<ShardId>,
}

impl ToldShards {
    /// A page is about to be given to the pipeline.
    pub(crate) fn listed(&mut self, outcome: &ListShardsOutcome) {
        if self.complete || outcome.is_err() {
            self.round.clear();
        }
        self.complete = outcome.as_ref().is_ok_and(|page| page.next_token.is_none());
        self.round.extend(outcome.iter().flat_map(|page| page.shards.iter().cloned()));
    }

    /// The pipeline says that the last round gave it a map.
    pub(crate) fn installed(&mut self) {
        assert!(self.complete, "a map out of half a list");
        let range = |shard: &Shard| ShardRange { id: shard.id.clone(), first: shard.first, last: shard.last };
        let open = self.round.iter().filter(|shard| shard.open).map(range).collect();
        self.map = Some(ShardMap::new(open).expect("a map tiles the ring"));
        self.known.extend(self.round.iter().map(|shard| shard.id.clone()));
    }

    pub(crate) fn knows(&self, shard: &ShardId) -> bool {
        self.known.contains(shard)
    }

    /// Whether these may share an aggregate: one shard of the map owns them, or, without a map, they are the same.
    pub(crate) fn belong_together(&self, mut hash_keys: impl Iterator<Item = HashKey>) -> bool {
        let Some(first) = hash_keys.next() else { return true };
        match &self.map {
            Some(map) => hash_keys.all(|hash_key| map.find(hash_key) == map.find(first)),
            None => hash_keys.all(|hash_key| hash_key == first),
        }
    }
}
