//! Settings. A [`Config`] is filled from code (setters by value), from text ([`Config::set`], [`Config::load_text`]) or from a
//! KPL properties file, then consumed by the producer and never changed again. `keys` is the one table of all settings:
//! reading, range checks, and `CONFIGURATION.md` come from it; `value` knows the kinds of values, `text` the files, `check`
//! what settings demand of each other. Times are `Duration`s, sizes are bytes. Loading credentials, certificates and endpoints
//! is the runtime's.

mod check;
mod key;
mod keys;
mod markdown;
mod metrics;
mod setters;
mod stream;
#[cfg(test)]
mod tests;
mod text;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[doc(hidden)]
pub use markdown::markdown;
pub use metrics::{MetricsDimension, MetricsGranularity, MetricsLevel};
pub use stream::{MAX_AGGREGATE_BYTES, MAX_REQUEST_BYTES, Ordering, StreamConfig};
pub(crate) use stream::{MAX_OUTSTANDING_BYTES, MAX_OUTSTANDING_RECORDS};

use crate::error::{Error, ErrorKind};

/// How the bodies of PutRecords requests are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WireFormat {
    /// `application/x-amz-cbor-1.1`, as the AWS SDKs for Java send: no base64, a quarter less on the wire.
    #[default]
    Cbor,
    /// `application/x-amz-json-1.1`, for endpoints that know nothing else.
    Json,
}

/// Where credentials come from.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// The AWS default chain: environment, profile files, web identity, container, instance.
    #[default]
    DefaultChain,
    /// These.
    Static {
        /// The access key id.
        access_key_id: String,
        /// The secret access key.
        secret_access_key: String,
        /// The session token of temporary credentials.
        session_token: Option<String>,
    },
    /// A profile of the AWS configuration files.
    Profile(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::DefaultChain => f.write_str("DefaultChain"),
            Credentials::Static { access_key_id, .. } => write!(f, "Static({access_key_id}, (secret))"),
            Credentials::Profile(name) => write!(f, "Profile({name})"),
        }
    }
}

/// A proxy for all requests.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    /// Its URL.
    pub(crate) url: String,
    /// The user name for basic authentication, if it is not in the URL.
    pub(crate) user_name: Option<String>,
    /// The password that goes with it.
    pub(crate) password: Option<String>,
}

type Override = Arc<dyn Fn(StreamConfig) -> StreamConfig + Send + Sync>;

/// The settings of a producer and its streams. `CONFIGURATION.md` describes each of them.
///
/// ```
/// use std::time::Duration;
/// use kinesis_producer::config::{Config, Ordering};
///
/// let config = Config::new()
///     .region("eu-west-1")
///     .record_ttl(Duration::from_secs(10))
///     .stream("orders", |stream| stream.ordering(Ordering::Shard));
/// assert_eq!(config.for_stream("orders").ordering, Ordering::Shard);
/// assert_eq!(config.for_stream("clicks").ordering, Ordering::None);
/// ```
#[derive(Clone)]
pub struct Config {
    pub(crate) region: Option<String>,
    pub(crate) endpoint_url: Option<String>,
    pub(crate) kinesis_endpoint: Option<String>,
    pub(crate) kinesis_port: u16,
    pub(crate) use_fips: bool,
    pub(crate) use_dual_stack: bool,
    pub(crate) access_key_id: Option<String>,
    pub(crate) secret_access_key: Option<String>,
    pub(crate) session_token: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) verify_certificate: bool,
    pub(crate) ca_cert_file: Option<PathBuf>,
    pub(crate) ca_cert_path: Option<PathBuf>,
    pub(crate) proxy_url: Option<String>,
    pub(crate) proxy_host: Option<String>,
    pub(crate) proxy_port: u16,
    pub(crate) proxy_user_name: Option<String>,
    pub(crate) proxy_password: Option<String>,
    pub(crate) no_proxy: Option<String>,
    pub(crate) proxy_from_environment: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) max_connections: usize,
    pub(crate) min_connections: usize,
    pub(crate) worker_threads: usize,
    pub(crate) wire_format: WireFormat,
    pub(crate) max_outstanding_records: usize,
    pub(crate) max_outstanding_bytes: usize,
    pub(crate) metrics_level: MetricsLevel,
    pub(crate) metrics_granularity: MetricsGranularity,
    pub(crate) metrics_namespace: String,
    pub(crate) metrics_upload_delay: Duration,
    pub(crate) metrics_dimensions: Vec<MetricsDimension>,
    pub(crate) cloudwatch_region: Option<String>,
    pub(crate) cloudwatch_endpoint_url: Option<String>,
    pub(crate) cloudwatch_endpoint: Option<String>,
    pub(crate) cloudwatch_port: u16,
    pub(crate) cloudwatch_access_key_id: Option<String>,
    pub(crate) cloudwatch_secret_access_key: Option<String>,
    pub(crate) cloudwatch_session_token: Option<String>,
    pub(crate) statistics_interval: Duration,
    pub(crate) log_level: String,
    all_streams: StreamConfig,
    overrides: BTreeMap<String, Vec<Override>>,
    without_effect: BTreeSet<&'static str>,
}

impl Default for Config {
    /// The KPL's defaults (KinesisProducerConfiguration.java), and ours for the settings that it does not have.
    fn default() -> Config {
        Config {
            region: None,
            endpoint_url: None,
            kinesis_endpoint: None,
            kinesis_port: 443,
            use_fips: false,
            use_dual_stack: false,
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            profile: None,
            verify_certificate: true,
            ca_cert_file: None,
            ca_cert_path: None,
            proxy_url: None,
            proxy_host: None,
            proxy_port: 443,
            proxy_user_name: None,
            proxy_password: None,
            no_proxy: None,
            proxy_from_environment: true,
            connect_timeout: Duration::from_secs(6),
            request_timeout: Duration::from_secs(6),
            max_connections: 24,
            min_connections: 1,
            worker_threads: 2,
            wire_format: WireFormat::Cbor,
            max_outstanding_records: 1_000_000,
            max_outstanding_bytes: 64 << 20,
            metrics_level: MetricsLevel::Detailed,
            metrics_granularity: MetricsGranularity::Shard,
            metrics_namespace: "KinesisProducerLibrary".to_owned(),
            metrics_upload_delay: Duration::from_secs(60),
            metrics_dimensions: Vec::new(),
            cloudwatch_region: None,
            cloudwatch_endpoint_url: None,
            cloudwatch_endpoint: None,
            cloudwatch_port: 443,
            cloudwatch_access_key_id: None,
            cloudwatch_secret_access_key: None,
            cloudwatch_session_token: None,
            statistics_interval: Duration::ZERO,
            log_level: "info".to_owned(),
            all_streams: StreamConfig::default(),
            overrides: BTreeMap::new(),
            without_effect: BTreeSet::new(),
        }
    }
}

impl Config {
    /// The defaults.
    #[must_use]
    pub fn new() -> Config {
        Config::default()
    }

    /// Changes settings of one stream, given by name or ARN; they are applied to what is set for all streams, whichever is
    /// said first.
    #[must_use]
    pub fn stream(
        mut self,
        name: impl Into<String>,
        change: impl Fn(StreamConfig) -> StreamConfig + Send + Sync + 'static,
    ) -> Config {
        self.overrides.entry(name.into()).or_default().push(Arc::new(change));
        self
    }

    /// Sets one setting by name, ours (`record_ttl`) or the KPL's (`RecordTtl`), from text. `stream.NAME.record_ttl` sets it
    /// for one stream. Times are milliseconds unless they end in `ns`, `us`, `ms`, `s`, `m` or `h`; sizes are bytes, or end
    /// in `KiB`, `MiB` or `GiB`. KPL settings without meaning in this library are accepted; see [`Config::ignored_keys`].
    ///
    /// # Errors
    /// `InvalidConfig` if the key is unknown or the value is unreadable or out of range; the setting is then unchanged.
    /// What settings demand of each other is checked by [`Config::check`].
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Error> {
        self.assign(key, value).map_err(|problem| Error::new(ErrorKind::InvalidConfig, problem))
    }

    /// Checks every setting and what settings demand of each other. The producer does it too.
    ///
    /// # Errors
    /// `InvalidConfig`, naming all that is wrong, a line each.
    pub fn check(&self) -> Result<(), Error> {
        into_result(check::problems(self))
    }

    /// The settings of a stream: its own, and what is set for all streams where it has none. A stream given by ARN has the
    /// settings given for its ARN, else for its name. Sizes beyond what the service allows are cut to it.
    #[must_use]
    pub fn for_stream(&self, name: &str) -> StreamConfig {
        self.as_given_for(name).within_service_limits()
    }

    /// The settings that were given though they have no effect in this library, by our names, sorted. The producer logs them
    /// once.
    #[must_use]
    pub fn ignored_keys(&self) -> Vec<&'static str> {
        self.without_effect.iter().copied().collect()
    }

    /// Where credentials come from.
    pub(crate) fn credential_source(&self) -> Credentials {
        match (&self.access_key_id, &self.secret_access_key, &self.profile) {
            (Some(id), Some(secret), _) => Credentials::Static {
                access_key_id: id.clone(),
                secret_access_key: secret.clone(),
                session_token: self.session_token.clone(),
            },
            (_, _, Some(profile)) => Credentials::Profile(profile.clone()),
            (_, _, None) => Credentials::DefaultChain,
        }
    }

    /// The URL of the service, if it is not to be found by the region.
    pub(crate) fn endpoint(&self) -> Option<String> {
        let from_kpl = || self.kinesis_endpoint.as_ref().map(|host| format!("https://{host}:{}", self.kinesis_port));
        self.endpoint_url.clone().or_else(from_kpl)
    }

    /// The proxy that was set; without one the environment's counts if `proxy_from_environment` is set.
    pub(crate) fn proxy(&self) -> Option<Proxy> {
        let from_kpl = || self.proxy_host.as_ref().map(|host| format!("http://{host}:{}", self.proxy_port));
        self.proxy_url.clone().or_else(from_kpl).map(|url| Proxy {
            url,
            user_name: self.proxy_user_name.clone(),
            password: self.proxy_password.clone(),
        })
    }

    fn as_given_for(&self, name: &str) -> StreamConfig {
        let short_name = name.rsplit_once(":stream/").map_or(name, |(_, short_name)| short_name);
        let overrides = self.overrides.get(name).or_else(|| self.overrides.get(short_name));
        let changes = overrides.map(Vec::as_slice).unwrap_or_default();
        changes.iter().fold(self.all_streams.clone(), |stream, change| change(stream))
    }

    /// Sets one setting from text; the error is one line that begins with the key.
    fn assign(&mut self, key: &str, value: &str) -> Result<(), String> {
        if let Some((stream, key)) = key.strip_prefix("stream.").and_then(|rest| rest.rsplit_once('.')) {
            let change = key::find(key)?.stream_assignment(value).map_err(|e| format!("stream.{stream}.{e}"))?;
            check::stream_name(stream)?;
            self.overrides.entry(stream.to_owned()).or_default().push(change);
            return Ok(());
        }
        let found = key::find(key)?;
        found.assign(self, value)?;
        if !found.has_effect() {
            self.without_effect.insert(found.name);
        }
        Ok(())
    }
}

/// Shows what differs from the defaults, without secrets.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut config, mut default) = (self.clone(), Config::default());
        let mut fields = f.debug_struct("Config");
        for key in key::all() {
            if let (Some(value), Some(default)) = (key.value(&mut config), key.value(&mut default))
                && value != default
            {
                fields.field(key.name, &format_args!("{}", key.kind.show(&value)));
            }
        }
        for name in self.overrides.keys() {
            fields.field(name, &self.for_stream(name));
        }
        fields.finish()
    }
}

/// All problems as one error.
fn into_result(problems: Vec<String>) -> Result<(), Error> {
    match problems.as_slice() {
        [] => Ok(()),
        [problem] => Err(Error::new(ErrorKind::InvalidConfig, problem)),
        [_, _, ..] => {
            let message = format!("{} problems:\n{}", problems.len(), problems.join("\n"));
            Err(Error::new(ErrorKind::InvalidConfig, message))
        }
    }
}
