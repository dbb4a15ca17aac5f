//! What the service answered, in the core's words. The transport makes these values; the core decides what they mean.

use std::sync::Arc;

use crate::error::ErrorCode;
use crate::record::{HashKey, SequenceNumber, ShardId, Stored};

/// The answer to a PutRecords request: one entry for each Kinesis record of the request, in order, or the call's failure.
pub type PutRecordsOutcome = Result<Vec<EntryOutcome>, CallFailure>;

/// The answer to a ListShards request: one page, or the call's failure.
pub type ListShardsOutcome = Result<ShardPage, CallFailure>;

/// The fate of one Kinesis record of a PutRecords request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryOutcome {
    /// Stored.
    Stored {
        /// Where.
        shard_id: ShardId,
        /// As what.
        sequence_number: SequenceNumber,
    },
    /// Refused, or lost inside the service (`InternalFailure`).
    Failed {
        /// The service's error code.
        code: ErrorCode,
        /// The service's words.
        message: Arc<str>,
    },
}

/// A call that failed as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFailure {
    /// The service's exception, or one of the codes in [`code`] when there was no answer.
    pub code: ErrorCode,
    /// The service's words, or the chain of causes.
    pub message: Arc<str>,
    /// The HTTP status, when an answer came.
    pub status: Option<u16>,
    /// `No` when the service certainly stored nothing (never sent, or refused with 4xx); otherwise `Possibly`.
    pub stored: Stored,
}

/// The error codes of calls that got no answer from the service, and of outcomes that the KPL names itself.
pub mod code {
    /// No connection: name resolution, connect, TLS handshake.
    pub const CONNECT: &str = "ConnectError";
    /// Nothing came within `request_timeout`.
    pub const TIMEOUT: &str = "RequestTimeout";
    /// The connection broke under the request, or the answer could not be read.
    pub const TRANSPORT: &str = "TransportError";
    /// Credentials could not be loaded.
    pub const CREDENTIALS: &str = "CredentialsError";
    /// `record_ttl` passed (the KPL's word).
    pub const EXPIRED: &str = "Expired";
    /// Stored in a shard that does not own the hash key (the KPL's words).
    pub const WRONG_SHARD: &str = "Wrong Shard";
    /// The answer had another number of entries than the request (the KPL's words).
    pub const COUNT_MISMATCH: &str = "Record Count Mismatch";
}

/// One page of ListShards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardPage {
    /// The shards of this page, open and closed.
    pub shards: Vec<Shard>,
    /// How to ask for the next page; `None` on the last.
    pub next_token: Option<String>,
}

/// A shard as ListShards describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its name.
    pub id: ShardId,
    /// The first hash key of its range.
    pub first: HashKey,
    /// The last hash key of its range, included.
    pub last: HashKey,
    /// Whether it takes records (it has no EndingSequenceNumber).
    pub open: bool,
}
