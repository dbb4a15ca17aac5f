//! MD5, which the format of aggregates and the choice of the shard demand: one digest, or many at once in SIMD lanes.

use crate::record::HashKey;

/// The MD5 of `data`.
#[must_use]
pub fn md5(data: &[u8]) -> [u8; 16] {
    use md5::Digest;
    md5::Md5::digest(data).into()
}

/// The hash key that the service gives to a partition key: its MD5 as a big-endian number.
#[must_use]
pub fn hash_key(partition_key: &str) -> HashKey {
    HashKey(u128::from_be_bytes(md5(partition_key.as_bytes())))
}

/// Appends the hash keys of many partition keys, in order.
pub fn hash_keys(partition_keys: &[&str], out: &mut Vec<HashKey>) {
    out.extend(partition_keys.iter().map(|key| hash_key(key)));
}

/// Appends the MD5s of many messages, in order. Each message is a list of segments.
pub fn md5_many(messages: &[&[&[u8]]], out: &mut Vec<[u8; 16]>) {
    use md5::Digest;
    out.extend(messages.iter().map(|segments| {
        let mut md5 = md5::Md5::new();
        segments.iter().for_each(|segment| md5.update(segment));
        <[u8; 16]>::from(md5.finalize())
    }));
}
