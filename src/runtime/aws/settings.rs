//! What the transport is told: where the service is, who we are, and how long to wait. Filled from `config`; a value that is
//! not set leaves the choice to the AWS SDK (environment, profile files, instance metadata).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;

/// The transport's settings.
#[derive(Clone, Debug)]
pub struct TransportSettings {
    /// The AWS region; otherwise the SDK's default chain finds it.
    pub region: Option<String>,
    /// Talks to this endpoint instead of the region's; `http://` is allowed.
    pub endpoint_url: Option<String>,
    /// Uses the FIPS endpoint.
    pub use_fips: bool,
    /// Uses the dual-stack (IPv4 and IPv6) endpoint.
    pub use_dual_stack: bool,
    /// Who signs.
    pub credentials: Credentials,
    /// A PEM file of further certificate authorities to trust.
    pub ca_cert_file: Option<PathBuf>,
    /// A directory of PEM files of further certificate authorities to trust.
    pub ca_cert_path: Option<PathBuf>,
    /// The proxy for everything but the credential services of the machine itself.
    pub proxy: Option<Proxy>,
    /// Follows `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` where `proxy` is not set.
    pub proxy_from_environment: bool,
    /// How long a TCP connect and its TLS handshake may take.
    pub connect_timeout: Duration,
    /// How long one call may take from connecting or taking an idle connection to the last byte of the answer.
    pub request_timeout: Duration,
    /// Idle connections kept; the callers bound how many calls run at once.
    pub max_connections: usize,
    /// How PutRecords bodies are written.
    pub wire_format: WireFormat,
}

impl Default for TransportSettings {
    /// The KPL's defaults.
    fn default() -> TransportSettings {
        TransportSettings {
            region: None,
            endpoint_url: None,
            use_fips: false,
            use_dual_stack: false,
            credentials: Credentials::DefaultChain,
            ca_cert_file: None,
            ca_cert_path: None,
            proxy: None,
            proxy_from_environment: true,
            connect_timeout: Duration::from_secs(6),
            request_timeout: Duration::from_secs(6),
            max_connections: 24,
            wire_format: WireFormat::Cbor,
        }
    }
}

/// Where credentials come from.
#[derive(Clone)]
pub enum Credentials {
    /// The SDK's default chain: environment, profile files, web identity, container, instance metadata.
    DefaultChain,
    /// These.
    Static {
        /// The access key's id.
        access_key_id: String,
        /// The access key's secret.
        secret_access_key: String,
        /// The session token of temporary credentials.
        session_token: Option<String>,
    },
    /// This profile of the shared configuration files, whatever the environment holds.
    Profile(String),
    /// The caller's own source.
    Provider(SharedCredentialsProvider),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::DefaultChain => f.write_str("DefaultChain"),
            Credentials::Static { access_key_id, .. } => write!(f, "Static({access_key_id}, ** redacted **)"),
            Credentials::Profile(name) => write!(f, "Profile({name})"),
            Credentials::Provider(_) => f.write_str("Provider(..)"),
        }
    }
}

/// An HTTP proxy.
#[derive(Clone)]
pub struct Proxy {
    /// `http://host:port` or `https://host:port`.
    pub url: String,
    /// The user of basic authentication.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.url)
    }
}

/// How PutRecords bodies are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireFormat {
    /// `application/x-amz-cbor-1.1`, as the AWS SDKs for Java do: no base64.
    Cbor,
    /// `application/x-amz-json-1.1`.
    Json,
}
