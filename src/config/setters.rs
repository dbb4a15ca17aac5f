//! The producer-level setters of [`Config`], by value, so that they chain. Ranges are checked by [`Config::check`], all at once.

use std::path::PathBuf;
use std::time::Duration;

use super::{Config, Credentials, MetricsDimension, MetricsGranularity, MetricsLevel, WireFormat};

/// Settings of the producer.
impl Config {
    /// The AWS region, such as `eu-west-1`. Default: the environment's (`AWS_REGION`, profile files, instance metadata).
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Config {
        self.region = Some(region.into());
        self
    }

    /// The service's URL instead of the region's, `http://` allowed. Default: the region's.
    #[must_use]
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Config {
        self.endpoint_url = Some(url.into());
        self
    }

    /// Whether to use the region's FIPS endpoint. Default false.
    #[must_use]
    pub fn use_fips(mut self, use_fips: bool) -> Config {
        self.use_fips = use_fips;
        self
    }

    /// Whether to use the region's IPv4 and IPv6 endpoint. Default false.
    #[must_use]
    pub fn use_dual_stack(mut self, use_dual_stack: bool) -> Config {
        self.use_dual_stack = use_dual_stack;
        self
    }

    /// Where credentials come from. Default: the AWS default chain.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Config {
        (self.access_key_id, self.secret_access_key, self.session_token, self.profile) = match credentials {
            Credentials::DefaultChain => (None, None, None, None),
            Credentials::Static { access_key_id, secret_access_key, session_token } => {
                (Some(access_key_id), Some(secret_access_key), session_token, None)
            }
            Credentials::Profile(name) => (None, None, None, Some(name)),
        };
        self
    }

    /// A PEM file of certificate authorities to trust besides the system's. Default: none.
    #[must_use]
    pub fn ca_cert_file(mut self, path: impl Into<PathBuf>) -> Config {
        self.ca_cert_file = Some(path.into());
        self
    }

    /// A folder of PEM files of certificate authorities to trust besides the system's. Default: none.
    #[must_use]
    pub fn ca_cert_path(mut self, path: impl Into<PathBuf>) -> Config {
        self.ca_cert_path = Some(path.into());
        self
    }

    /// The proxy for all requests, such as `http://user:password@proxy:3128`. Default: the environment's.
    #[must_use]
    pub fn proxy_url(mut self, url: impl Into<String>) -> Config {
        self.proxy_url = Some(url.into());
        self
    }

    /// Hosts that are reached without the proxy, separated by commas. Default: none, or the environment's with its proxy.
    #[must_use]
    pub fn no_proxy(mut self, hosts: impl Into<String>) -> Config {
        self.no_proxy = Some(hosts.into());
        self
    }

    /// Whether `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` count when no proxy is set here. Default true.
    #[must_use]
    pub fn proxy_from_environment(mut self, from_environment: bool) -> Config {
        self.proxy_from_environment = from_environment;
        self
    }

    /// How long connecting may take: 100 ms to 300 s, default 6 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Config {
        self.connect_timeout = timeout;
        self
    }

    /// How long a request may take from its start to the end of its answer: 100 ms to 600 s, default 6 s.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Config {
        self.request_timeout = timeout;
        self
    }

    /// Requests on the wire at once: 1 to 256, default 24.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Config {
        self.max_connections = connections;
        self
    }

    /// Threads that encode, hash and send: 1 to 64, default 2.
    #[must_use]
    pub fn worker_threads(mut self, threads: usize) -> Config {
        self.worker_threads = threads;
        self
    }

    /// How bodies are written. Default [`WireFormat::Cbor`].
    #[must_use]
    pub fn wire_format(mut self, format: WireFormat) -> Config {
        self.wire_format = format;
        self
    }

    /// User records accepted and not yet delivered, of all streams: 1 or more, default 1,000,000.
    #[must_use]
    pub fn max_outstanding_records(mut self, records: usize) -> Config {
        self.max_outstanding_records = records;
        self
    }

    /// Bytes of user records accepted and not yet delivered, of all streams; room for the largest user record of every stream
    /// and its key at least, default 64 MiB.
    #[must_use]
    pub fn max_outstanding_bytes(mut self, bytes: usize) -> Config {
        self.max_outstanding_bytes = bytes;
        self
    }

    /// Which metrics are uploaded to CloudWatch (feature `cloudwatch`). Default [`MetricsLevel::Detailed`], as with the KPL.
    #[must_use]
    pub fn metrics_level(mut self, level: MetricsLevel) -> Config {
        self.metrics_level = level;
        self
    }

    /// How finely uploaded metrics are divided. Default [`MetricsGranularity::Shard`].
    #[must_use]
    pub fn metrics_granularity(mut self, granularity: MetricsGranularity) -> Config {
        self.metrics_granularity = granularity;
        self
    }

    /// The CloudWatch namespace of uploaded metrics: 1 to 255 characters, not `AWS/…`. Default `KinesisProducerLibrary`.
    #[must_use]
    pub fn metrics_namespace(mut self, namespace: impl Into<String>) -> Config {
        self.metrics_namespace = namespace.into();
        self
    }

    /// How often metrics are uploaded: 1 ms to 60 s, default 60 s.
    #[must_use]
    pub fn metrics_upload_delay(mut self, delay: Duration) -> Config {
        self.metrics_upload_delay = delay;
        self
    }

    /// Adds a dimension to the uploaded metrics that are divided at least so finely: a name of 1 to 255 and a value of 1 to 1,024
    /// printable ASCII characters. Default: none.
    #[must_use]
    pub fn metrics_dimension(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
        granularity: MetricsGranularity,
    ) -> Config {
        self.metrics_dimensions.push(MetricsDimension { name: name.into(), value: value.into(), granularity });
        self
    }

    /// CloudWatch's URL instead of the region's, `http://` allowed. Default: the region's.
    #[must_use]
    pub fn cloudwatch_endpoint_url(mut self, url: impl Into<String>) -> Config {
        self.cloudwatch_endpoint_url = Some(url.into());
        self
    }

    /// The region that metrics go to. Default: the streams'.
    #[must_use]
    pub fn cloudwatch_region(mut self, region: impl Into<String>) -> Config {
        self.cloudwatch_region = Some(region.into());
        self
    }

    /// How often the callback for statistics is called: up to 24 h, default 0, which is never.
    #[must_use]
    pub fn statistics_interval(mut self, interval: Duration) -> Config {
        self.statistics_interval = interval;
        self
    }
}
