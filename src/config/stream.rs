//! The settings that have a meaning per stream. The producer's [`Config`] holds one set for all streams and, per stream, what
//! differs from it; [`Config::for_stream`] puts the two together.

use std::time::Duration;

use super::Config;

/// User records that a producer may be set to hold: with the bytes they are counted in one word of 64 bits.
pub(crate) const MAX_OUTSTANDING_RECORDS: u64 = (1 << 24) - 1;
/// Bytes that a producer may be set to hold.
pub(crate) const MAX_OUTSTANDING_BYTES: u64 = (1 << 40) - 1;

/// Bytes of the largest aggregate, whatever `aggregation_max_size` says: a stream takes Kinesis records of 1 MiB unless it was
/// set to take more (Kinesis developer guide, quotas).
pub const MAX_AGGREGATE_BYTES: usize = 1 << 20;

/// Bytes of the largest PutRecords request, partition keys included (Kinesis API reference, PutRecords).
pub const MAX_REQUEST_BYTES: usize = 10 << 20;

/// The order that user records of one shard keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ordering {
    /// None: a retried Kinesis record may be stored after its successors, as with the KPL.
    #[default]
    None,
    /// The first stored copies of a shard's user records are in put order: one Kinesis record of a shard is on the wire at a
    /// time.
    Shard,
}

/// The settings of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamConfig {
    /// Whether user records share Kinesis records. Default true.
    pub aggregation_enabled: bool,
    /// User records in an aggregate at most: 1 or more, default 4294967295.
    pub aggregation_max_count: u64,
    /// Bytes of an aggregate at most: 64 bytes to 10 MiB, default 50 KiB; more than 1 MiB acts as 1 MiB.
    pub aggregation_max_size: usize,
    /// Kinesis records in a PutRecords request at most: 1 to 500, default 500.
    pub collection_max_count: usize,
    /// Bytes of a PutRecords request at most: 51 KiB or more, default 5 MiB; more than 10 MiB acts as 10 MiB.
    pub collection_max_size: usize,
    /// Bytes of a user record's data at most: 64 bytes to 10 MiB, default 1 MiB.
    pub max_user_record_size: usize,
    /// How long a user record waits for others to share its request: 0 or more, default 100 ms.
    pub record_max_buffered_time: Duration,
    /// When an undelivered user record is given up: 100 ms or more, default 30 s.
    pub record_ttl: Duration,
    /// The ceiling of the rate of a shard, in percent of the service's limit: 1 or more, default 150.
    pub rate_limit: u64,
    /// Whether a throttled user record fails at once instead of being sent again. Default false.
    pub fail_if_throttled: bool,
    /// The order that user records of one shard keep. Default [`Ordering::None`].
    pub ordering: Ordering,
    /// How often the shard map is read anew: 1 s or more, default 60 s.
    pub shard_map_refresh_interval: Duration,
    /// Whether the report of a failed user record brings its payload back. Default false.
    pub return_user_record_on_failure: bool,
    /// The stream's share of the producer's `max_outstanding_records`; `None` (the default) is all of it.
    pub max_outstanding_records: Option<usize>,
    /// The stream's share of the producer's `max_outstanding_bytes`; `None` (the default) is all of it.
    pub max_outstanding_bytes: Option<usize>,
}

impl Default for StreamConfig {
    /// The KPL's defaults (KinesisProducerConfiguration.java), and ours for the settings that it does not have.
    fn default() -> StreamConfig {
        StreamConfig {
            aggregation_enabled: true,
            aggregation_max_count: 4_294_967_295,
            aggregation_max_size: 50 << 10,
            collection_max_count: 500,
            collection_max_size: 5 << 20,
            max_user_record_size: 1 << 20,
            record_max_buffered_time: Duration::from_millis(100),
            record_ttl: Duration::from_secs(30),
            rate_limit: 150,
            fail_if_throttled: false,
            ordering: Ordering::None,
            shard_map_refresh_interval: Duration::from_secs(60),
            return_user_record_on_failure: false,
            max_outstanding_records: None,
            max_outstanding_bytes: None,
        }
    }
}

impl StreamConfig {
    /// Sets the stream's share of the producer's [`Config::max_outstanding_records`].
    #[must_use]
    pub fn max_outstanding_records(mut self, records: usize) -> StreamConfig {
        self.max_outstanding_records = Some(records);
        self
    }

    /// Sets the stream's share of the producer's [`Config::max_outstanding_bytes`].
    #[must_use]
    pub fn max_outstanding_bytes(mut self, bytes: usize) -> StreamConfig {
        self.max_outstanding_bytes = Some(bytes);
        self
    }

    /// The same with what the service allows at most: any accepted setting gives valid requests.
    pub(super) fn within_service_limits(mut self) -> StreamConfig {
        self.aggregation_max_size = self.aggregation_max_size.min(MAX_AGGREGATE_BYTES);
        self.collection_max_size = self.collection_max_size.min(MAX_REQUEST_BYTES);
        self
    }
}

// Every setting of a stream can also be set for all of them: the two methods differ in nothing but where they write.
macro_rules! setters {
    ($($name:ident: $type:ty,)*) => {
        impl StreamConfig {
            $(
                #[doc = concat!("Sets [`StreamConfig::", stringify!($name), "`](#structfield.", stringify!($name), ").")]
                #[must_use]
                pub fn $name(mut self, $name: $type) -> StreamConfig {
                    self.$name = $name;
                    self
                }
            )*
        }

        /// Settings for all streams that have none of their own.
        impl Config {
            $(
                #[doc = concat!(
                    "Sets [`", stringify!($name), "`](StreamConfig#structfield.", stringify!($name), ") for all streams."
                )]
                #[must_use]
                pub fn $name(mut self, $name: $type) -> Config {
                    self.all_streams.$name = $name;
                    self
                }
            )*
        }
    };
}

setters! {
    aggregation_enabled: bool,
    aggregation_max_count: u64,
    aggregation_max_size: usize,
    collection_max_count: usize,
    collection_max_size: usize,
    max_user_record_size: usize,
    record_max_buffered_time: Duration,
    record_ttl: Duration,
    rate_limit: u64,
    fail_if_throttled: bool,
    ordering: Ordering,
    shard_map_refresh_interval: Duration,
    return_user_record_on_failure: bool,
}
