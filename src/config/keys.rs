//! The one table of settings: our name, the KPL's, kind and range, where the value lives, what it does. Everything that reads,
//! checks, shows or documents settings goes through it, by way of `key`. Defaults are those of the fields (`Config::default`,
//! `StreamConfig::default`). KPL names, ranges and defaults: KinesisProducerConfiguration.java of amazon-kinesis-producer
//! 1.0.7; the ranges of what the KPL lacks are ours.

use super::check::{any_text, host, region, url};
use super::key::{Field, Group, Key};
use super::value::Kind::{Count, Flag, OneOf, Secret, Size, Text, Time};
use super::value::{Kind, NO_LIMIT};
use super::{MAX_OUTSTANDING_BYTES, MAX_OUTSTANDING_RECORDS};

/// The table.
pub(super) static GROUPS: &[Group] = &[
    Group {
        title: "Aggregation and buffering",
        keys: &[
            key(
                "aggregation_enabled",
                "AggregationEnabled",
                Flag,
                Field::Stream(|s| &mut s.aggregation_enabled),
                "Whether user records share Kinesis records. Off, each is a Kinesis record of its own: any consumer \
                 can read it, at many times the cost, and a shard takes 1,000 a second at most.",
            ),
            key(
                "aggregation_max_count",
                "AggregationMaxCount",
                Count(1, NO_LIMIT, "user records"),
                Field::Stream(|s| &mut s.aggregation_max_count),
                "User records in an aggregate at most. Lowered, consumers get smaller pieces, and more Kinesis \
                 records are paid.",
            ),
            key(
                "aggregation_max_size",
                "AggregationMaxSize",
                Size(64, 10 << 20),
                Field::Stream(|s| &mut s.aggregation_max_size),
                "Bytes of an aggregate at most; more than 1 MiB acts as 1 MiB. Raised, requests are fuller, and a \
                 retry sends more bytes again; the service bills payload in units of 25 KiB, so a multiple of it is \
                 cheapest. A user record that does not fit goes alone.",
            ),
            key(
                "collection_max_count",
                "CollectionMaxCount",
                Count(1, 500, "Kinesis records"),
                Field::Stream(|s| &mut s.collection_max_count),
                "Kinesis records in a PutRecords request at most. Lowered, there are more requests and each costs \
                 CPU; a failing request hits fewer records.",
            ),
            key(
                "collection_max_size",
                "CollectionMaxSize",
                Size(52224, NO_LIMIT),
                Field::Stream(|s| &mut s.collection_max_size),
                "Bytes of a PutRecords request at most; more than 10 MiB, the service's limit, acts as 10 MiB. \
                 Raised, there are fewer requests; each takes more memory and longer to send.",
            ),
            key(
                "record_max_buffered_time",
                "RecordMaxBufferedTime",
                Time(0, NO_LIMIT),
                Field::Stream(|s| &mut s.record_max_buffered_time),
                "How long a user record waits for others to share its request. Raised, aggregates are fuller and \
                 cheaper, and reports come later; it is exceeded when the service or the shard's rate does not keep \
                 up.",
            ),
            key(
                "max_user_record_size",
                "MaxUserRecordSize",
                Size(64, 10 << 20),
                Field::Stream(|s| &mut s.max_user_record_size),
                "Bytes of a user record's data at most; a larger one is refused by the put. Streams take 1 MiB unless \
                 their MaxRecordSize was raised: a size beyond it is refused by the service instead. It must fit into \
                 `max_outstanding_bytes` with its partition key.",
            ),
        ],
    },
    Group {
        title: "Delivery",
        keys: &[
            key(
                "record_ttl",
                "RecordTtl",
                Time(100, NO_LIMIT),
                Field::Stream(|s| &mut s.record_ttl),
                "When an undelivered user record is given up and reported `Expired`; one that is on the wire at that \
                 moment is decided by its answer first. Lowered, a stalled stream gives up sooner; raised, it holds \
                 its share of the budget longer.",
            ),
            ours(
                "ordering",
                OneOf(&["none", "shard"]),
                Field::Stream(|s| &mut s.ordering),
                "`shard` keeps the first stored copies of a shard's user records in put order, through retries and \
                 resharding: one Kinesis record of a shard is on the wire at a time, so a shard's throughput is at \
                 most `aggregation_max_size` divided by the service's answer time. `none` sends without waiting, and \
                 retries may overtake.",
            ),
            key(
                "rate_limit",
                "RateLimit",
                Count(1, NO_LIMIT, "percent"),
                Field::Stream(|s| &mut s.rate_limit),
                "The ceiling of a shard's rate, in percent of the service's limit of 1,000 Kinesis records and 1 MiB \
                 a second. Above 100 a producer may use what others leave and throttling is met by backing off; lower \
                 it to leave room for other producers.",
            ),
            key(
                "fail_if_throttled",
                "FailIfThrottled",
                Flag,
                Field::Stream(|s| &mut s.fail_if_throttled),
                "Whether a throttled user record fails at once instead of being sent again until `record_ttl`. On, \
                 callers learn of a hot shard at once and must repeat on their own.",
            ),
            ours(
                "shard_map_refresh_interval",
                Time(1000, NO_LIMIT),
                Field::Stream(|s| &mut s.shard_map_refresh_interval),
                "How often the stream's shard map is read anew (with jitter); a record stored in another shard than \
                 predicted refreshes it at once in any case. Lowered, a reshard is noticed sooner, at the price of \
                 ListShards calls.",
            ),
            key(
                "return_user_record_on_failure",
                "ReturnUserRecordOnFailure",
                Flag,
                Field::Stream(|s| &mut s.return_user_record_on_failure),
                "Whether the report of a failed user record brings its payload back. On, the payload is kept until \
                 the report is taken.",
            ),
        ],
    },
    Group {
        title: "Budget and threads",
        keys: &[
            ours(
                "max_outstanding_records",
                Count(1, MAX_OUTSTANDING_RECORDS, "user records"),
                Field::Shared(|c| &mut c.max_outstanding_records, |s| &mut s.max_outstanding_records),
                "User records accepted and not yet delivered, of all streams together; a put beyond it waits or is \
                 refused. For a stream: its share, by default all. Raised, longer stalls are bridged, with more \
                 memory.",
            ),
            ours(
                "max_outstanding_bytes",
                Size(1, MAX_OUTSTANDING_BYTES),
                Field::Shared(|c| &mut c.max_outstanding_bytes, |s| &mut s.max_outstanding_bytes),
                "Bytes of user records accepted and not yet delivered, of all streams together; a put beyond it waits \
                 or is refused. For a stream: its share, by default all. Every stream's largest user record and its \
                 partition key (1 KiB) must fit. It bounds the producer's memory; raised, longer stalls are bridged.",
            ),
            ours(
                "worker_threads",
                Count(1, 64, "threads"),
                Field::Producer(|c| &mut c.worker_threads),
                "Threads that encode, hash, sign and send. With two, one keeps time while the other hashes a large request; \
                 more help only when these are busy, fewer leave the CPU to the application.",
            ),
            key(
                "max_connections",
                "MaxConnections",
                Count(1, 256, "requests"),
                Field::Producer(|c| &mut c.max_connections),
                "Requests on the wire at once, of all streams together. Raised, a distant service is used better; \
                 each takes up to `collection_max_size` of memory. Lowered, requests wait and fill.",
            ),
        ],
    },
    Group {
        title: "Service, credentials, connection",
        keys: &[
            key(
                "region",
                "Region",
                Text(region),
                Field::Producer(|c| &mut c.region),
                "The AWS region. Unset: `AWS_REGION`, the profile, or the instance's.",
            ),
            ours(
                "endpoint_url",
                Text(url),
                Field::Producer(|c| &mut c.endpoint_url),
                "The service's URL instead of the region's; `http://` is allowed and needs no certificate.",
            ),
            key(
                "kinesis_endpoint",
                "KinesisEndpoint",
                Text(host),
                Field::Producer(|c| &mut c.kinesis_endpoint),
                "The service's host instead of the region's, always with TLS; the KPL's way to say `endpoint_url`. \
                 Only one of them may be set.",
            ),
            key(
                "kinesis_port",
                "KinesisPort",
                Count(1, 65535, "port"),
                Field::Producer(|c| &mut c.kinesis_port),
                "The port of `kinesis_endpoint`.",
            ),
            ours(
                "use_fips",
                Flag,
                Field::Producer(|c| &mut c.use_fips),
                "Whether to use the region's FIPS 140 endpoint. Not with an endpoint of one's own.",
            ),
            ours(
                "use_dual_stack",
                Flag,
                Field::Producer(|c| &mut c.use_dual_stack),
                "Whether to use the region's endpoint for IPv4 and IPv6. Not with an endpoint of one's own.",
            ),
            ours(
                "access_key_id",
                Text(any_text),
                Field::Producer(|c| &mut c.access_key_id),
                "The access key id of fixed credentials. Unset, with `profile` unset too: the AWS default chain \
                 (environment, profile files, web identity, container, instance).",
            ),
            ours(
                "secret_access_key",
                Secret,
                Field::Producer(|c| &mut c.secret_access_key),
                "The secret access key that goes with `access_key_id`. It is never shown.",
            ),
            ours(
                "session_token",
                Secret,
                Field::Producer(|c| &mut c.session_token),
                "The session token that goes with `access_key_id` if that is a temporary one. It is never shown, and \
                 never refreshed.",
            ),
            ours(
                "profile",
                Text(any_text),
                Field::Producer(|c| &mut c.profile),
                "A profile of the AWS configuration files to take credentials from, refreshed as the profile says.",
            ),
            key(
                "ca_cert_file",
                "CaCertFile",
                Text(any_text),
                Field::Producer(|c| &mut c.ca_cert_file),
                "A PEM file of certificate authorities to trust besides the system's.",
            ),
            key(
                "ca_cert_path",
                "CaCertPath",
                Text(any_text),
                Field::Producer(|c| &mut c.ca_cert_path),
                "A folder of PEM files of certificate authorities to trust besides the system's.",
            ),
            key(
                "verify_certificate",
                "VerifyCertificate",
                Flag,
                Field::Producer(|c| &mut c.verify_certificate),
                "Must be true: name the authority of a test endpoint in `ca_cert_file`, or use no TLS with \
                 `endpoint_url = http://…`.",
            ),
            ours(
                "proxy_url",
                Text(url),
                Field::Producer(|c| &mut c.proxy_url),
                "The proxy for all requests, such as `http://user:password@proxy:3128`.",
            ),
            key(
                "proxy_host",
                "ProxyHost",
                Text(host),
                Field::Producer(|c| &mut c.proxy_host),
                "The host of the proxy; the KPL's way to say `proxy_url`. Only one of them may be set.",
            ),
            key(
                "proxy_port",
                "ProxyPort",
                Count(1, 65535, "port"),
                Field::Producer(|c| &mut c.proxy_port),
                "The port of `proxy_host`.",
            ),
            key(
                "proxy_user_name",
                "ProxyUserName",
                Text(any_text),
                Field::Producer(|c| &mut c.proxy_user_name),
                "The user name at the proxy.",
            ),
            key(
                "proxy_password",
                "ProxyPassword",
                Secret,
                Field::Producer(|c| &mut c.proxy_password),
                "The password at the proxy. It is never shown.",
            ),
            ours(
                "no_proxy",
                Text(any_text),
                Field::Producer(|c| &mut c.no_proxy),
                "Hosts that are reached without the proxy, separated by commas.",
            ),
            ours(
                "proxy_from_environment",
                Flag,
                Field::Producer(|c| &mut c.proxy_from_environment),
                "Whether `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` count when no proxy is set here.",
            ),
            key(
                "connect_timeout",
                "ConnectTimeout",
                Time(100, 300_000),
                Field::Producer(|c| &mut c.connect_timeout),
                "How long connecting may take, TLS included. Lowered, a dead host is left sooner; too low, a busy one \
                 is never reached.",
            ),
            key(
                "request_timeout",
                "RequestTimeout",
                Time(100, 600_000),
                Field::Producer(|c| &mut c.request_timeout),
                "How long a request may take from its start to the end of its answer. Lowered, a lost answer is \
                 noticed sooner; too low, what the service stored slowly is sent again and duplicated. A report comes \
                 at the latest at `record_ttl` + `request_timeout`.",
            ),
            ours(
                "wire_format",
                OneOf(&["cbor", "json"]),
                Field::Producer(|c| &mut c.wire_format),
                "How the bodies of PutRecords requests are written. `json` costs a third more bytes and CPU for \
                 base64; an endpoint that refuses `cbor` gets `json` by itself.",
            ),
        ],
    },
    super::metrics::GROUP,
    Group {
        title: "Known and checked, without effect",
        keys: &[
            key(
                "min_connections",
                "MinConnections",
                Count(1, 16, "connections"),
                Field::WithoutEffect(|c| &mut c.min_connections),
                "Connections that the KPL keeps open; here they are opened when needed.",
            ),
            key(
                "log_level",
                "LogLevel",
                OneOf(&["trace", "debug", "info", "warning", "error"]),
                Field::WithoutEffect(|c| &mut c.log_level),
                "What the KPL's child process logs; here the application's `tracing` subscriber decides.",
            ),
        ],
    },
    Group {
        title: "KPL settings without meaning inside a process, any text accepted",
        keys: &[
            nowhere(
                "credentials_refresh_delay",
                "CredentialsRefreshDelay",
                "Credentials are refreshed when they are about to expire.",
            ),
            nowhere("native_executable", "NativeExecutable", "There is no child process."),
            nowhere("temp_directory", "TempDirectory", "There is no child process."),
            nowhere("enable_core_dumps", "EnableCoreDumps", "There is no child process."),
            nowhere("threading_model", "ThreadingModel", "See `worker_threads`."),
            nowhere("thread_pool_size", "ThreadPoolSize", "See `worker_threads`."),
            nowhere("enable_daemon_health_check", "EnableDaemonHealthCheck", "There is no child process."),
            nowhere("daemon_health_check_timeout_ms", "DaemonHealthCheckTimeoutMs", "There is no child process."),
            nowhere(
                "enable_oldest_future_tracker",
                "EnableOldestFutureTracker",
                "The age of the oldest outstanding user record is always known.",
            ),
            nowhere(
                "user_record_timeout_in_millis",
                "UserRecordTimeoutInMillis",
                "Every report comes within `record_ttl` + `request_timeout`.",
            ),
            nowhere("sts_endpoint", "StsEndpoint", "The AWS SDK's own settings name it."),
            nowhere("sts_port", "StsPort", "The AWS SDK's own settings name it."),
            nowhere(
                "glue_schema_registry_properties_file_path",
                "GlueSchemaRegistryPropertiesFilePath",
                "Schemas are the application's.",
            ),
        ],
    },
];

pub(super) const fn key(name: &'static str, kpl: &'static str, kind: Kind, field: Field, doc: &'static str) -> Key {
    Key { name, kpl: Some(kpl), kind, field, doc }
}

pub(super) const fn ours(name: &'static str, kind: Kind, field: Field, doc: &'static str) -> Key {
    Key { name, kpl: None, kind, field, doc }
}

const fn nowhere(name: &'static str, kpl: &'static str, doc: &'static str) -> Key {
    Key { name, kpl: Some(kpl), kind: Text(any_text), field: Field::Nowhere, doc }
}
