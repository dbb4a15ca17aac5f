//! The transport to AWS: PutRecords with our own bodies and ListShards, on the AWS SDK's client, which brings credentials,
//! endpoints, signing, TLS, proxies and timeouts.
//!
//! A call is made once; the core decides about repetitions. Only what cannot store anything twice and needs no decision is
//! repeated here, at once and at most once each: a refused encoding, refused credentials or clock, and a body that its
//! connection did not take to the end.

mod answer;
mod body;
mod cbor;
mod clients;
#[cfg(feature = "cloudwatch")]
pub(super) mod cloudwatch;
mod failure;
mod http;
mod settings;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use aws_sdk_kinesis::types::{ShardFilter, ShardFilterType};

use self::body::{Dispatch, SignedBody};
use self::clients::{ClientSource, Clients};
use self::failure::call_failure;
pub use self::settings::{Credentials, Proxy, TransportSettings};
use super::transport::{Request, Response, Transport};
use crate::config::WireFormat;
use crate::core::outcome::{CallFailure, ListShardsOutcome, PutRecordsOutcome, code};
use crate::error::Error;
use crate::record::Stored;
use crate::wire::{KinesisRecord, put_records};

/// Shards a page (ListShards, API reference: at most 10,000; the KPL asks for 1,000).
const SHARDS_PER_PAGE: i32 = 1000;

/// The real [`Transport`].
#[derive(Debug)]
pub struct AwsTransport {
    clients: ClientSource,
    encoding: AtomicU8,
}

/// CBOR, which the endpoint has not yet confirmed.
const CBOR_ON_TRIAL: u8 = 0;
/// CBOR; the endpoint took it once.
const CBOR: u8 = 1;
/// JSON, chosen or fallen back to.
const JSON: u8 = 2;

impl AwsTransport {
    /// Finds region and credentials, and reads the certificates. Connects to nothing but what the credentials need.
    ///
    /// # Errors
    /// `NoRegion`, `NoCredentials`, `Io` for certificate files, `InvalidConfig` for an unusable proxy.
    ///
    /// # Cancel safety
    /// Leaves nothing behind.
    pub async fn new(settings: impl Into<TransportSettings>) -> Result<AwsTransport, Error> {
        let settings = settings.into();
        let encoding = if settings.wire_format == WireFormat::Json { JSON } else { CBOR_ON_TRIAL };
        Ok(AwsTransport { clients: ClientSource::new(settings).await?, encoding: AtomicU8::new(encoding) })
    }

    async fn put_records(&self, stream: &str, records: &[KinesisRecord]) -> PutRecordsOutcome {
        let encoding = self.encoding.load(Ordering::Relaxed);
        if encoding == JSON {
            return self.put_encoded(WireFormat::Json, stream, records).await;
        }
        let outcome = self.put_encoded(WireFormat::Cbor, stream, records).await;
        match &outcome {
            Ok(_) if encoding == CBOR_ON_TRIAL => self.encoding.store(CBOR, Ordering::Relaxed),
            Err(failure) if encoding == CBOR_ON_TRIAL && refuses_encoding(failure) => {
                return self.put_json_instead(stream, records, failure).await;
            }
            Ok(_) | Err(_) => {}
        }
        outcome
    }

    /// Repeats in JSON what was refused as CBOR; if that is not refused the same way, JSON stays.
    async fn put_json_instead(&self, stream: &str, records: &[KinesisRecord], cbor: &CallFailure) -> PutRecordsOutcome {
        let outcome = self.put_encoded(WireFormat::Json, stream, records).await;
        let json_is_better =
            !outcome.as_ref().is_err_and(|failure| refuses_encoding(failure) || failure.status.is_none());
        if json_is_better && self.encoding.swap(JSON, Ordering::Relaxed) != JSON {
            tracing::warn!(code = %cbor.code, message = %cbor.message, "the endpoint refuses CBOR: sending JSON from now on");
        }
        outcome
    }

    async fn put_encoded(&self, format: WireFormat, stream: &str, records: &[KinesisRecord]) -> PutRecordsOutcome {
        let body = Arc::new(SignedBody::new(put_records::encode(format, stream, records)));
        let mut repeats = Repeats::default();
        let mut clients = self.clients.present();
        loop {
            let (outcome, cut_short) = put_once(&clients, format, stream, &body).await;
            let Err(failure) = &outcome else { return outcome };
            match repeats.after(failure, cut_short) {
                Some(Repeat::AsItIs) => {}
                Some(Repeat::WithFreshCredentials) => clients = self.clients.renewed(&clients).await,
                None => return outcome,
            }
        }
    }

    async fn list_shards(&self, stream: &str, next_token: Option<&str>) -> ListShardsOutcome {
        let mut repeats = Repeats::default();
        let mut clients = self.clients.present();
        loop {
            let outcome = list_once(&clients, stream, next_token).await;
            let Err(failure) = &outcome else { return outcome };
            match repeats.after(failure, false) {
                Some(Repeat::AsItIs) => {}
                Some(Repeat::WithFreshCredentials) => clients = self.clients.renewed(&clients).await,
                None => return outcome,
            }
        }
    }
}

impl Transport for AwsTransport {
    /// Runs on: a worker thread, which hashes the body.
    fn call(&self, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send + '_>> {
        Box::pin(async move {
            match request {
                Request::PutRecords { stream, records } => {
                    Response::PutRecords(self.put_records(&stream, &records).await)
                }
                Request::ListShards { stream, next_token } => {
                    Response::ListShards(self.list_shards(&stream, next_token.as_deref()).await)
                }
            }
        })
    }
}

/// Sends the body once. The flag says that the connection broke before it had taken the whole body.
async fn put_once(
    clients: &Clients,
    format: WireFormat,
    stream: &str,
    body: &Arc<SignedBody>,
) -> (PutRecordsOutcome, bool) {
    let client = match format {
        WireFormat::Cbor => &clients.cbor,
        WireFormat::Json => &clients.json,
    };
    let (dispatch, progress) = Dispatch::new(Some(Arc::clone(body)));
    // The stream is for the SDK's endpoint rules; what is sent is `body`.
    let (name, arn) = name_or_arn(stream);
    let call = client.put_records().set_stream_name(name).set_stream_arn(arn).set_records(Some(Vec::new()));
    match call.customize().interceptor(dispatch).send().await {
        Ok(output) => (answer::entries(output), false),
        Err(error) => {
            let failure = call_failure(&error, &progress);
            let cut_short = failure.code.as_str() == code::TRANSPORT && progress.started() && !progress.complete();
            (Err(failure), cut_short)
        }
    }
}

async fn list_once(clients: &Clients, stream: &str, next_token: Option<&str>) -> ListShardsOutcome {
    let (dispatch, progress) = Dispatch::new(None);
    let call = clients.json.list_shards().max_results(SHARDS_PER_PAGE);
    // The service refuses a token beside the stream's name or a filter.
    let call = if let Some(token) = next_token {
        call.next_token(token)
    } else {
        let (name, arn) = name_or_arn(stream);
        let filter = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build();
        call.set_stream_name(name).set_stream_arn(arn).set_shard_filter(filter.ok())
    };
    match call.customize().interceptor(dispatch).send().await {
        Ok(output) => answer::page(output),
        Err(error) => Err(CallFailure { stored: Stored::No, ..call_failure(&error, &progress) }),
    }
}

fn name_or_arn(stream: &str) -> (Option<String>, Option<String>) {
    if stream.starts_with("arn:") { (None, Some(stream.to_owned())) } else { (Some(stream.to_owned()), None) }
}

fn refuses_encoding(failure: &CallFailure) -> bool {
    failure.status == Some(415)
        || matches!(failure.code.as_str(), "UnknownOperationException" | "SerializationException")
}

/// What to do at once about a failed call.
enum Repeat {
    AsItIs,
    WithFreshCredentials,
}

/// What was repeated already: nothing is twice.
#[derive(Default)]
struct Repeats {
    credentials: bool,
    clock: bool,
    connection: bool,
}

impl Repeats {
    fn after(&mut self, failure: &CallFailure, cut_short: bool) -> Option<Repeat> {
        let (done, repeat) = match failure.code.as_str() {
            "ExpiredTokenException" | "UnrecognizedClientException" => {
                (&mut self.credentials, Repeat::WithFreshCredentials)
            }
            // The SDK has learnt the service's time from the answer and signs with it from now on.
            "InvalidSignatureException" | "RequestTimeTooSkewed" | "SignatureDoesNotMatch" => {
                (&mut self.clock, Repeat::AsItIs)
            }
            // An idle connection that the service had closed: the next one is fresh. (hyper itself repeats what no connection
            // has begun to send.)
            _ if cut_short => (&mut self.connection, Repeat::AsItIs),
            _ => return None,
        };
        (!std::mem::replace(done, true)).then_some(repeat)
    }
}
