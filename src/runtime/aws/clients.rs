//! The SDK's Kinesis clients: made from the settings, and made anew when the service says that our credentials are no longer
//! good. Whatever the SDK would do on its own (retries, stalled-stream protection) is off: the core decides.

use std::sync::{Arc, Mutex, PoisonError};

use aws_config::BehaviorVersion;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::config::{self, IdentityCache, Region, SharedHttpClient, StalledStreamProtectionConfig};

use super::cbor::AmzCbor;
use super::failure::causes;
use super::http;
use super::settings::{Credentials, TransportSettings};
use crate::error::{Error, ErrorKind};

/// Shown as the origin of credentials that the settings hold.
const PROVIDER_NAME: &str = "kinesis-producer settings";

/// One generation of clients: same endpoint, same credentials, two encodings.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) cbor: Client,
    pub(super) json: Client,
}

/// Makes clients, and knows the present ones.
#[derive(Debug)]
pub(super) struct ClientSource {
    settings: TransportSettings,
    http: SharedHttpClient,
    present: Mutex<Arc<Clients>>,
    /// Held while clients are made anew, so that calls that fail together make them once.
    renewing: tokio::sync::Mutex<()>,
}

impl ClientSource {
    /// Finds region and credentials and makes the first clients.
    ///
    /// # Errors
    /// `NoRegion`, `NoCredentials`, `Io` for certificate files, `InvalidConfig` for an unusable proxy.
    pub(super) async fn new(settings: TransportSettings) -> Result<ClientSource, Error> {
        let http = http::client(&settings)?;
        let config = sdk_config(&settings, &http).await;
        if config.region().is_none() {
            let message = "no AWS region: set region, or AWS_REGION, or a region in the profile of ~/.aws/config";
            return Err(Error::new(ErrorKind::NoRegion, message));
        }
        let credentials = config.credentials_provider().ok_or_else(no_credentials)?;
        credentials.provide_credentials().await.map_err(|error| {
            let place = match &settings.credentials {
                Credentials::Profile(name) => format!(" in profile {name:?}"),
                Credentials::DefaultChain | Credentials::Static { .. } | Credentials::Provider(_) => String::new(),
            };
            let message = format!("no AWS credentials{place}: {}", causes(&error));
            Error::new(ErrorKind::NoCredentials, message).with_source(error)
        })?;
        let present = Mutex::new(Arc::new(clients(&settings, &config)));
        Ok(ClientSource { settings, http, present, renewing: tokio::sync::Mutex::new(()) })
    }

    /// The present clients.
    pub(super) fn present(&self) -> Arc<Clients> {
        Arc::clone(&self.present.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Clients with credentials loaded anew from their source, unless another call has made them since `refused` failed.
    pub(super) async fn renewed(&self, refused: &Arc<Clients>) -> Arc<Clients> {
        let _one_at_a_time = self.renewing.lock().await;
        let present = self.present();
        if !Arc::ptr_eq(&present, refused) {
            return present;
        }
        // The provider is made anew too: that of a profile remembers the files as it read them first.
        let config = sdk_config(&self.settings, &self.http).await;
        let fresh = Arc::new(clients(&self.settings, &config));
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
        fresh
    }
}

fn no_credentials() -> Error {
    Error::new(ErrorKind::NoCredentials, "no AWS credentials: no source of credentials is configured")
}

pub(super) async fn sdk_config(settings: &TransportSettings, http: &SharedHttpClient) -> aws_config::SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &settings.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    // What is not asked for is left to the environment (AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT).
    if settings.use_fips {
        loader = loader.use_fips(true);
    }
    if settings.use_dual_stack {
        loader = loader.use_dual_stack(true);
    }
    match &settings.credentials {
        Credentials::DefaultChain => loader.load().await,
        Credentials::Static { access_key_id, secret_access_key, session_token } => {
            let (id, secret, token) = (access_key_id, secret_access_key, session_token.clone());
            loader.credentials_provider(config::Credentials::new(id, secret, token, None, PROVIDER_NAME)).load().await
        }
        Credentials::Provider(provider) => loader.credentials_provider(provider.clone()).load().await,
        Credentials::Profile(name) => {
            let config = loader.profile_name(name).load().await;
            // The default chain would ask the environment before the profile.
            let surroundings = ProviderConfig::default()
                .with_behavior_version(Some(BehaviorVersion::latest()))
                .with_http_client(http.clone())
                .with_region(config.region().cloned());
            let provider =
                ProfileFileCredentialsProvider::builder().configure(&surroundings).profile_name(name).build();
            config.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build()
        }
    }
}

fn clients(settings: &TransportSettings, config: &aws_config::SdkConfig) -> Clients {
    let config = config::Builder::from(config)
        .identity_cache(IdentityCache::lazy().build())
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(timeouts(settings));
    Clients {
        cbor: Client::from_conf(config.clone().protocol(AmzCbor::new()).build()),
        json: Client::from_conf(config.build()),
    }
}

pub(super) fn timeouts(settings: &TransportSettings) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(settings.connect_timeout)
        .operation_attempt_timeout(settings.request_timeout)
        .build()
}
