//! The nouns of the data path: what a caller puts, and the names that the service gives to things.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, ErrorKind};

/// Characters in the longest partition key (Kinesis API reference, PutRecordsRequestEntry).
pub(crate) const MAX_PARTITION_KEY_CHARS: usize = 256;
/// Bytes of data and partition key in the largest Kinesis record that a stream can be set to take (MaxRecordSizeInKiB).
pub(crate) const MAX_KINESIS_RECORD_BYTES: usize = 10 << 20;

/// A user record to put: borrowed, and copied before the put returns.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct UserRecord<'a> {
    /// 1 to 256 characters; its MD5 names the shard.
    pub partition_key: &'a str,
    /// Names the shard instead of the partition key's MD5.
    pub explicit_hash_key: Option<HashKey>,
    /// The payload.
    pub data: &'a [u8],
    /// The payload as shared bytes: a user record too large for an aggregate then needs no copy.
    pub(crate) shared: Option<&'a Bytes>,
}

impl<'a> UserRecord<'a> {
    /// A user record with the shard chosen by its partition key.
    #[must_use]
    pub fn new(partition_key: &'a str, data: &'a [u8]) -> UserRecord<'a> {
        UserRecord { partition_key, explicit_hash_key: None, data, shared: None }
    }

    /// The same of shared bytes: one that is too large for an aggregate is then sent without a copy.
    #[must_use]
    pub fn from_bytes(partition_key: &'a str, data: &'a Bytes) -> UserRecord<'a> {
        UserRecord { partition_key, explicit_hash_key: None, data, shared: Some(data) }
    }

    /// Chooses the shard by `hash_key` instead of by the partition key.
    #[must_use]
    pub fn with_explicit_hash_key(mut self, hash_key: HashKey) -> UserRecord<'a> {
        self.explicit_hash_key = Some(hash_key);
        self
    }
}

/// A point on the ring 0 … 2^128 − 1 that shards divide among themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HashKey(pub u128);

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for HashKey {
    type Err = Error;

    /// Reads a decimal number.
    ///
    /// # Errors
    /// `InvalidHashKey` unless it is a decimal number from 0 to 2^128 − 1.
    fn from_str(text: &str) -> Result<HashKey, Error> {
        let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits_only).map(HashKey).ok_or_else(|| {
            let message = format!("explicit hash key {text:?}: a decimal number from 0 to {} is expected", u128::MAX);
            Error::new(ErrorKind::InvalidHashKey, message)
        })
    }
}

macro_rules! shared_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the service's name.
            #[must_use]
            pub fn new(name: &str) -> $name {
                $name(name.into())
            }

            /// The name as the service spells it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

shared_name! {
    /// A shard's name, such as `shardId-000000000003`. Cheap to clone.
    ShardId
}
shared_name! {
    /// The service's number of a stored Kinesis record: decimal, growing within a shard. Cheap to clone.
    SequenceNumber
}

/// What is known of a user record's fate in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stored {
    /// Certainly not stored.
    No,
    /// Perhaps stored: an answer was lost.
    Possibly,
    /// Stored, with a sequence number.
    Yes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_keys_are_plain_decimal_numbers_below_two_to_the_128() {
        assert_eq!("0".parse::<HashKey>().unwrap(), HashKey(0));
        assert_eq!(u128::MAX.to_string().parse::<HashKey>().unwrap(), HashKey(u128::MAX));
        for bad in ["", "-1", "+1", "0x10", " 1", "340282366920938463463374607431768211456"] {
            let error = bad.parse::<HashKey>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidHashKey);
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
        }
    }
}
