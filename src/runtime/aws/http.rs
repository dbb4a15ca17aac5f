//! The HTTP client below the SDK: connection pool, proxy, and the certificate authorities it trusts. One per transport, shared
//! by the Kinesis clients and the credential services.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_sdk_kinesis::config::SharedHttpClient;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::settings::TransportSettings;
use crate::error::{Error, ErrorKind};

/// How long an idle connection is kept: the AWS SDK for Java's default. hyper's 90 s make it likelier that the service closes
/// the connection under a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Where ECS, EKS and EC2 give out credentials: on the machine, never behind a proxy.
const CREDENTIAL_SERVICES: &str = "169.254.169.254,169.254.170.2,169.254.170.23,fd00:ec2::254,fd00:ec2::23";

/// Builds the HTTP client.
///
/// # Errors
/// `Io` for a certificate file that cannot be read or used, `InvalidConfig` for an unusable proxy.
pub(super) fn client(settings: &TransportSettings) -> Result<SharedHttpClient, Error> {
    let tls = TlsContext::builder().with_trust_store(trust_store(settings)?).build();
    let tls = tls.map_err(|error| Error::new(ErrorKind::Io, format!("TLS: {error}")).with_source(error))?;
    let proxy = proxy(settings)?;
    let max_idle = settings.max_connections;
    // The builder's own `build_https` has no way to pass a proxy; this one, hidden in the docs, is what its examples of
    // proxies would need: `http_client_fn` would make a new pool for every request.
    Ok(Builder::new().build_with_connector_fn(move |timeouts, components| {
        let mut connector = Connector::builder();
        connector.set_connector_settings(timeouts.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(max_idle)
            .proxy_config(proxy.clone())
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(tls.clone())
            .build()
    }))
}

fn proxy(settings: &TransportSettings) -> Result<ProxyConfig, Error> {
    let Some(proxy) = &settings.proxy else {
        let environment = settings.proxy_from_environment;
        return Ok(if environment { ProxyConfig::from_env() } else { ProxyConfig::disabled() });
    };
    // The error is not shown: it repeats the URL, which may hold a password.
    let config = ProxyConfig::all(proxy.url.as_str()).map_err(|_error| {
        let message = format!("proxy {:?}: http://host:port or https://host:port is expected", proxy.shown());
        Error::new(ErrorKind::InvalidConfig, message)
    })?;
    let except = proxy.except.iter().map(String::as_str).chain([CREDENTIAL_SERVICES]).collect::<Vec<_>>().join(",");
    let config = config.no_proxy(except);
    Ok(match &proxy.user {
        Some(user) => config.with_basic_auth(user.as_str(), proxy.password.as_deref().unwrap_or_default()),
        None => config,
    })
}

fn trust_store(settings: &TransportSettings) -> Result<TrustStore, Error> {
    // Asked to trust the system's authorities where there are none (a slim container), the SDK's debug builds panic.
    let system = !rustls_native_certs::load_native_certs().certs.is_empty();
    let mut store = TrustStore::empty().with_native_roots(system);
    if let Some(file) = &settings.ca_cert_file {
        store.add_pem_certificate(read_certificates(file, "ca_cert_file")?);
    }
    if let Some(directory) = &settings.ca_cert_path {
        for pem in read_directory(directory)? {
            store.add_pem_certificate(pem);
        }
    }
    Ok(store)
}

/// Reads a PEM file and makes sure that the TLS library will take it: there a bad certificate is a panic.
fn read_certificates(file: &Path, setting: &str) -> Result<Vec<u8>, Error> {
    let unusable = |what: String| Error::new(ErrorKind::Io, format!("{setting}: {}: {what}", file.display()));
    let pem = fs::read(file).map_err(|error| unusable(error.to_string()).with_source(error))?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unusable(format!("not a PEM certificate: {error}")))?;
        store.add(certificate).map_err(|error| unusable(format!("not a usable certificate: {error}")))?;
    }
    if store.is_empty() {
        return Err(unusable("no PEM certificate in it".to_owned()));
    }
    Ok(pem)
}

/// Reads every file of a directory that holds a PEM certificate; others (keys, lists, links to nowhere) are not ours to judge.
fn read_directory(directory: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let unusable = |what: String| Error::new(ErrorKind::Io, format!("ca_cert_path: {}: {what}", directory.display()));
    let entries = fs::read_dir(directory).map_err(|error| unusable(error.to_string()).with_source(error))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unusable(error.to_string()).with_source(error))?.path();
        if path.is_file() && fs::read(&path).is_ok_and(|bytes| has_certificate(&bytes)) {
            found.push(read_certificates(&path, "ca_cert_path")?);
        }
    }
    if found.is_empty() {
        return Err(unusable("no PEM certificate in its files".to_owned()));
    }
    Ok(found)
}

fn has_certificate(bytes: &[u8]) -> bool {
    const MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";
    bytes.windows(MARK.len()).any(|window| window == MARK)
}
