//! What the transport is told: where the service is, who we are, and how long to wait. Filled from `config`, whose checks hold;
//! a value that is not set leaves the choice to the AWS SDK (environment, profile files, instance metadata).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;

use crate::config::{self, Config, WireFormat};

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
    fn default() -> TransportSettings {
        TransportSettings::from(&Config::default())
    }
}

impl From<&Config> for TransportSettings {
    fn from(config: &Config) -> TransportSettings {
        TransportSettings {
            region: config.region.clone(),
            endpoint_url: config.endpoint(),
            use_fips: config.use_fips,
            use_dual_stack: config.use_dual_stack,
            credentials: config.credential_source().into(),
            ca_cert_file: config.ca_cert_file.clone(),
            ca_cert_path: config.ca_cert_path.clone(),
            proxy: config.proxy().map(|proxy| Proxy {
                url: proxy.url,
                user: proxy.user_name,
                password: proxy.password,
                except: config.no_proxy.clone(),
            }),
            proxy_from_environment: config.proxy_from_environment,
            connect_timeout: config.connect_timeout,
            request_timeout: config.request_timeout,
            max_connections: config.max_connections,
            wire_format: config.wire_format,
        }
    }
}

/// Where credentials come from: what a [`Config`] can say, and the caller's own source.
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

impl From<config::Credentials> for Credentials {
    fn from(source: config::Credentials) -> Credentials {
        match source {
            config::Credentials::DefaultChain => Credentials::DefaultChain,
            config::Credentials::Static { access_key_id, secret_access_key, session_token } => {
                Credentials::Static { access_key_id, secret_access_key, session_token }
            }
            config::Credentials::Profile(name) => Credentials::Profile(name),
        }
    }
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
#[derive(Clone, Default)]
pub struct Proxy {
    /// `http://host:port` or `https://host:port`, perhaps with `user:password@` before the host.
    pub url: String,
    /// The user of basic authentication.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// Hosts that are reached without it, separated by commas.
    pub except: Option<String>,
}

impl Proxy {
    /// The URL without the password that may be in it.
    pub(super) fn shown(&self) -> &str {
        self.url.rsplit_once('@').map_or(&self.url, |(_, host)| host)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_says_where_who_and_through_what() {
        let config = Config::new().region("eu-west-1").proxy_url("http://me:secret@proxy:3128").no_proxy("a,b");
        let mut config = config.credentials(config::Credentials::Profile("payroll".to_owned()));
        config.set("KinesisEndpoint", "kinesis.test").expect("a known key");
        let settings = TransportSettings::from(&config);
        assert_eq!(settings.endpoint_url.as_deref(), Some("https://kinesis.test:443"));
        assert!(matches!(&settings.credentials, Credentials::Profile(name) if name == "payroll"));
        let proxy = settings.proxy.as_ref().expect("it was set");
        assert_eq!((proxy.shown(), proxy.except.as_deref()), ("proxy:3128", Some("a,b")));
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
