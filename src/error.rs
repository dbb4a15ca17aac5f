//! What can go wrong, in two moments. A _refusal_ ([`PutError`]) is synchronous and means "we kept nothing"; a _failure_
//! ([`Failure`]) is the outcome in a report and means "we tried". [`Error`] is for setting up, configuring and closing.
//! The numbers of [`ErrorKind`] are stable: bindings for other languages share them.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

macro_rules! error_kinds {
    ($($name:ident = $code:literal, $description:literal;)*) => {
        /// The kinds of errors, with numbers that never change. Every [`PutError`] and [`Error`] has one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(i32)]
        pub enum ErrorKind {
            $(#[doc = $description] $name = $code,)*
        }

        impl ErrorKind {
            /// Every kind, for tables at run time.
            pub const ALL: &[ErrorKind] = &[$(ErrorKind::$name),*];

            /// Its name, as it is spelt here.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(ErrorKind::$name => stringify!($name),)*
                }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self {
                    $(ErrorKind::$name => $description,)*
                }
            }

            /// The stable number.
            #[must_use]
            pub const fn code(self) -> i32 {
                self as i32
            }
        }
    };
}

error_kinds! {
    QueueFull = 1, "The budget of outstanding user records (or the shard's share of it) is used up; nothing was kept.";
    TimedOut = 2, "The time given for waiting passed; nothing was kept.";
    RecordTooLarge = 3, "The user record's data or data and partition key are too large.";
    InvalidPartitionKey = 4, "The partition key is empty or longer than 256 characters.";
    InvalidHashKey = 5, "The explicit hash key is not a decimal number from 0 to 2^128 − 1.";
    Closed = 6, "The producer is closed or closing.";
    Poisoned = 7, "A bug stopped the producer; its outstanding user records were reported `Aborted`.";
    WrongReportMode = 8, "This form of put does not fit the producer's way of reporting.";
    InvalidStreamName = 9, "Neither an ARN nor a stream name that Kinesis allows.";
    InvalidConfig = 20, "One or more settings are unknown, unreadable or out of range.";
    NoRegion = 21, "No region is configured and none was found in the environment.";
    NoCredentials = 22, "No credentials were found.";
    Io = 23, "A file that the configuration names cannot be read or used.";
    Runtime = 24, "The runtime could not be started.";
    UnknownMetric = 30, "There is no metric of this name.";
    InvalidWindow = 31, "Metrics can be asked for the last 1 to 60 seconds, or since the start.";
    InvalidAggregate = 40, "An aggregate cannot be read.";
}

/// Why a put was refused. Nothing was kept: the caller still owns the user record, and no report will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutError {
    /// No room: `max_outstanding_records` or `max_outstanding_bytes` is reached, or too much is queued for its shard already.
    QueueFull,
    /// No room came within the given time.
    TimedOut,
    /// `len` bytes are more than the `max` allowed.
    RecordTooLarge {
        /// The size that was offered, in bytes.
        len: usize,
        /// The largest size allowed, in bytes.
        max: usize,
    },
    /// The partition key has this number of characters; 1 to 256 are allowed.
    InvalidPartitionKey {
        /// Characters in the key that was offered.
        chars: usize,
    },
    /// The producer is closed or closing.
    Closed,
    /// A bug stopped the producer; the rest was reported `Aborted`.
    Poisoned,
    /// Tickets need a producer that reports by ticket, and this one reports to a queue or a callback.
    WrongReportMode,
}

impl PutError {
    /// The kind, whose number bindings share.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            PutError::QueueFull => ErrorKind::QueueFull,
            PutError::TimedOut => ErrorKind::TimedOut,
            PutError::RecordTooLarge { .. } => ErrorKind::RecordTooLarge,
            PutError::InvalidPartitionKey { .. } => ErrorKind::InvalidPartitionKey,
            PutError::Closed => ErrorKind::Closed,
            PutError::Poisoned => ErrorKind::Poisoned,
            PutError::WrongReportMode => ErrorKind::WrongReportMode,
        }
    }
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PutError::QueueFull => f.write_str(
                "no room for another user record: wait for reports, use a put that waits, or raise max_outstanding_records \
                 or max_outstanding_bytes",
            ),
            PutError::TimedOut => f.write_str("no room for another user record came within the given time"),
            PutError::RecordTooLarge { len, max } => {
                write!(f, "user record of {len} bytes is larger than the {max} bytes allowed")
            }
            PutError::InvalidPartitionKey { chars } => {
                write!(f, "partition key of {chars} characters: 1 to 256 are allowed")
            }
            PutError::Closed => f.write_str("the producer is closed"),
            PutError::Poisoned => f.write_str("the producer stopped after an internal error; create a new one"),
            PutError::WrongReportMode => {
                f.write_str("this producer reports to a queue or a callback: use a put that takes an opaque number instead")
            }
        }
    }
}

impl StdError for PutError {}

/// A service error code (`ProvisionedThroughputExceededException`), or one of ours for a call that got no answer. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(Arc<str>);

impl ErrorCode {
    /// Wraps a code.
    #[must_use]
    pub fn new(code: &str) -> ErrorCode {
        ErrorCode(code.into())
    }

    /// The code as the service spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a user record was not (or perhaps not) stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// `record_ttl` passed first. The attempts tell the last real error.
    Expired,
    /// The shard was throttled and `fail_if_throttled` is set.
    Throttled,
    /// It was stored with an aggregate in a shard that does not own its hash key (consumers drop it there), and could not be
    /// sent again in time.
    WrongShard,
    /// The service refused it for good.
    Service(ErrorCode),
    /// The answer had another number of entries than the request.
    CountMismatch,
    /// The producer was closed, aborted or dropped first.
    Aborted,
}

impl Failure {
    /// A stable number, which bindings share; 0 stands for no failure.
    #[must_use]
    pub const fn number(&self) -> i32 {
        match self {
            Failure::Expired => 1,
            Failure::Throttled => 2,
            Failure::WrongShard => 3,
            Failure::Service(_) => 4,
            Failure::CountMismatch => 5,
            Failure::Aborted => 6,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Expired => f.write_str("Expired"),
            Failure::Throttled => f.write_str("Throttled"),
            Failure::WrongShard => f.write_str("Wrong Shard"),
            Failure::Service(code) => write!(f, "{code}"),
            Failure::CountMismatch => f.write_str("Record Count Mismatch"),
            Failure::Aborted => f.write_str("Aborted"),
        }
    }
}

type BoxError = Box<dyn StdError + Send + Sync>;

/// An error of setting up, configuring, reading or closing.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: Box<str>,
    source: Option<BoxError>,
}

impl Error {
    /// An error that says what was wrong, with the value and what is allowed.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into().into_boxed_str(), source: None }
    }

    /// The same with the error that caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Error {
        self.source = Some(source.into());
        self
    }

    /// The kind, whose number bindings share.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
