//! What a put does before any lock: checks the user record, and hashes its partition key where its shard is asked for.

use std::sync::atomic::Ordering::Relaxed;

use super::keys;
use super::stream::{Delivered, StreamShared};
use crate::core::{Hashed, key_digest};
use crate::error::PutError;
use crate::record::{HashKey, MAX_KINESIS_RECORD_BYTES, MAX_PARTITION_KEY_CHARS, UserRecord};

/// A user record that passed all checks and has its hash key, if one is needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prepared<'a> {
    pub(crate) hashed: Hashed<'a>,
    pub(crate) opaque: Option<u64>,
}

impl Prepared<'_> {
    /// What the budget counts.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.hashed.record.partition_key.len() + self.hashed.record.data.len()
    }
}

impl StreamShared {
    /// Checks a user record and hashes its partition key. Runs on: any thread, without the lock.
    ///
    /// # Errors
    /// What is wrong with the user record, or with the way it is put.
    #[inline]
    pub(crate) fn prepare<'a>(&self, record: UserRecord<'a>, opaque: Option<u64>) -> Result<Prepared<'a>, PutError> {
        self.check(&record, opaque)?;
        let key_digest = key_digest(record.partition_key);
        let hash_key = self.needs_hash_keys.load(Relaxed).then(|| hash_key(&record, key_digest));
        Ok(Prepared { hashed: Hashed { record, key_digest, hash_key }, opaque })
    }

    /// The same for many; each key that is new to the thread's cache is hashed together with the others.
    ///
    /// # Errors
    /// The first thing that is wrong; `out` holds the user records before it.
    pub(crate) fn prepare_many<'a>(
        &self,
        records: impl Iterator<Item = (UserRecord<'a>, Option<u64>)>,
        out: &mut Vec<Prepared<'a>>,
    ) -> Result<(), PutError> {
        let needs_hash_keys = self.needs_hash_keys.load(Relaxed);
        let mut missing: Vec<usize> = Vec::new();
        let mut checked = Ok(());
        for (record, opaque) in records {
            checked = self.check(&record, opaque);
            if checked.is_err() {
                break;
            }
            let key_digest = key_digest(record.partition_key);
            let mut hash_key = record.explicit_hash_key;
            if needs_hash_keys && hash_key.is_none() {
                hash_key = keys::find(record.partition_key, key_digest);
                if hash_key.is_none() {
                    missing.push(out.len());
                }
            }
            out.push(Prepared { hashed: Hashed { record, key_digest, hash_key }, opaque });
        }
        keys::hash_missing(out, &missing);
        checked
    }

    #[inline]
    fn check(&self, record: &UserRecord<'_>, opaque: Option<u64>) -> Result<(), PutError> {
        let UserRecord { partition_key, data, .. } = record;
        // A character takes at least a byte: short keys need no counting.
        if partition_key.is_empty() || partition_key.len() > MAX_PARTITION_KEY_CHARS {
            let chars = partition_key.chars().count();
            if chars == 0 || chars > MAX_PARTITION_KEY_CHARS {
                return Err(PutError::InvalidPartitionKey { chars });
            }
        }
        if data.len() > self.max_user_record_size {
            return Err(PutError::RecordTooLarge { len: data.len(), max: self.max_user_record_size });
        }
        let len = data.len() + partition_key.len();
        if len > MAX_KINESIS_RECORD_BYTES {
            return Err(PutError::RecordTooLarge { len, max: MAX_KINESIS_RECORD_BYTES });
        }
        match (&self.delivered, opaque) {
            (Delivered::Queue(_), None) => Err(PutError::WrongReportMode),
            (Delivered::Tickets | Delivered::Queue(_), _) => Ok(()),
        }
    }
}

/// The hash key that names the user record's shard.
pub(super) fn hash_key(record: &UserRecord<'_>, digest: u64) -> HashKey {
    record.explicit_hash_key.unwrap_or_else(|| keys::hash_key(record.partition_key, digest))
}
