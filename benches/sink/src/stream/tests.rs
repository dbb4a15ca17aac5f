//! Tests of [`super::Stream`]: routing, resharding, listing, limits.

use super::*;

fn put(stream: &mut Stream, hash_key: u128, bytes: usize, now_ms: u64, rate_factor: Option<f64>) -> Outcome {
    let arriving = Arriving { partition_key: "", hash_key, data: &[], data_len: bytes };
    stream.put(arriving, Duration::from_millis(now_ms), rate_factor)
}

fn ranges(stream: &Stream) -> Vec<(u32, u128, u128)> {
    let range = |&id: &u32| (id, stream.shards[id as usize].start, stream.shards[id as usize].end);
    stream.open.iter().map(range).collect()
}

fn assert_ranges_cover_all(stream: &Stream) {
    let ranges = ranges(stream);
    assert_eq!((ranges[0].1, ranges[ranges.len() - 1].2), (0, u128::MAX));
    assert!(ranges.windows(2).all(|pair| pair[0].2 + 1 == pair[1].1), "{ranges:?}");
}

#[test]
fn shards_share_the_hash_keys_evenly() {
    for shards in [1, 2, 3, 4, 7, 1000] {
        let stream = Stream::new(shards, false);
        assert_eq!(stream.open_shards(), shards as usize);
        assert_ranges_cover_all(&stream);
    }
    assert_eq!(ranges(&Stream::new(4, false))[1].1, 1 << 126);
}

#[test]
fn a_hash_key_goes_to_the_shard_whose_range_holds_it() {
    let mut stream = Stream::new(4, false);
    for (hash_key, expected) in [(0, 0), ((1 << 126) - 1, 0), (1 << 126, 1), (u128::MAX, 3)] {
        let Outcome::Stored { shard, .. } = put(&mut stream, hash_key, 1, 0, None) else { panic!("not stored") };
        assert_eq!(shard, expected, "{hash_key}");
    }
}

#[test]
fn doubling_splits_every_shard_once() {
    let mut stream = Stream::new(4, false);
    stream.reshard(8);
    assert_eq!(stream.shards.len(), 12);
    assert!((0..4).all(|id| stream.shards[id].last_sequence.is_some()));
    assert_ranges_cover_all(&stream);
}

#[test]
fn halving_merges_pairs() {
    let mut stream = Stream::new(8, false);
    stream.reshard(4);
    assert_eq!(stream.shards.len(), 12);
    assert_eq!(stream.shards[8].parents, [Some(0), Some(1)]);
    assert_eq!(ranges(&stream)[1].1, 1 << 126);
    stream.reshard(1);
    assert_ranges_cover_all(&stream);
}

#[test]
fn any_number_of_shards_is_reached() {
    let mut stream = Stream::new(4, false);
    for target in [6, 5, 13, 2, 3] {
        stream.reshard(target);
        assert_eq!(stream.open_shards(), target as usize);
        assert_ranges_cover_all(&stream);
    }
}

#[test]
fn a_childs_sequence_numbers_are_above_its_parents() {
    let mut stream = Stream::new(1, false);
    put(&mut stream, 0, 1, 0, None);
    stream.reshard(2);
    let (shards, _) = stream.list(false, None, 10);
    let end = shards[0].sequence_number_range.ending_sequence_number.unwrap().0;
    assert!(shards[1..].iter().all(|child| child.sequence_number_range.starting_sequence_number.0 > end));
    assert!(shards[1..].iter().all(|child| child.sequence_number_range.ending_sequence_number.is_none()));
    assert!(shards[1..].iter().all(|child| child.parent_shard_id == Some(ShardId(0))));
}

#[test]
fn pages_follow_each_other() {
    let mut stream = Stream::new(2, false);
    stream.reshard(4);
    let ids = |shards: Vec<ShardAnswer>| shards.iter().map(|shard| shard.shard_id.0).collect::<Vec<_>>();
    let (first, more) = stream.list(false, None, 4);
    assert_eq!((ids(first), more), (vec![0, 1, 2, 3], true));
    let (second, more) = stream.list(false, Some(3), 4);
    assert_eq!((ids(second), more), (vec![4, 5], false));
    let (open, more) = stream.list(true, None, 4);
    assert_eq!((ids(open), more), (vec![2, 3, 4, 5], false));
}

#[test]
fn a_token_says_where_the_listing_goes_on() {
    let page = Page { stream: "a:b".to_owned(), only_open: true, after: Some(7) };
    assert_eq!(Page::of_token(&page.token()), Ok(page));
    assert!(Page::of_token("nonsense").is_err());
}

#[test]
fn bytes_are_throttled_after_one_seconds_burst_and_flow_again() {
    let mut stream = Stream::new(1, false);
    let mut stored_at = |now_ms| {
        let outcomes = (0..40).map(|_| put(&mut stream, 0, 51_200, now_ms, Some(1.0)));
        outcomes.filter(|outcome| matches!(outcome, Outcome::Stored { .. })).count()
    };
    assert_eq!([stored_at(0), stored_at(0), stored_at(500), stored_at(10_000)], [20, 0, 10, 20]);
}

#[test]
fn records_are_throttled_and_the_factor_scales_the_limit() {
    let stored = |factor| {
        let mut stream = Stream::new(1, false);
        let outcomes = (0..3000).map(|_| put(&mut stream, 0, 1, 0, Some(factor)));
        outcomes.filter(|outcome| matches!(outcome, Outcome::Stored { .. })).count()
    };
    assert_eq!([stored(1.0), stored(0.5), stored(2.0)], [1000, 500, 2000]);
}

#[test]
fn a_kinesis_record_larger_than_the_burst_passes_an_idle_shard() {
    let mut stream = Stream::new(1, false);
    assert!(matches!(put(&mut stream, 0, 10 << 20, 0, Some(1.0)), Outcome::Stored { .. }));
    assert!(matches!(put(&mut stream, 0, 1, 9_000, Some(1.0)), Outcome::Throttled { .. }));
    assert!(matches!(put(&mut stream, 0, 1, 10_000, Some(1.0)), Outcome::Stored { .. }));
}
