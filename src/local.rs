//! An embedded Kinesis service on a loopback port, for tests, examples and benches: [ferrokinesis] as a library, so that
//! nothing needs an AWS account or another program. It keeps every record in memory until it is dropped. It does not know
//! stream ARNs in ListShards, checks no signatures, takes at most 1 MiB a Kinesis record and 5 MiB a request, and counts a
//! partition key's bytes where Kinesis counts its characters (256).
//!
//! It brings its own small runtime: it can be started from any executor, or from none, and its futures can be awaited
//! anywhere.
//!
//! [ferrokinesis]: https://crates.io/crates/ferrokinesis

use std::future::Future;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials as SdkCredentials, Region};
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::types::{ScalingType, ShardIteratorType, StreamStatus};
use axum::extract::DefaultBodyLimit;
use bytes::Bytes;
use ferrokinesis::store::StoreOptions;

use crate::config::{Config, Credentials};
use crate::error::{Error, ErrorKind};
use crate::record::{HashKey, SequenceNumber, ShardId};

const REGION: &str = "us-east-1";
/// Signatures are not checked; any key does.
const ACCESS_KEY_ID: &str = "local";
/// How often a stream is asked whether it is active.
const STATUS_INTERVAL: Duration = Duration::from_millis(2);
/// Enough for any stream of a test: the service's own default is 10.
const SHARD_LIMIT: u32 = 100_000;

/// A running service. Dropping it stops it and forgets its streams.
///
/// ```
/// use kinesis_producer::local::LocalService;
///
/// let service = LocalService::start_blocking()?;
/// service.block_on(async {
///     service.create_stream("orders", 2).await?;
///     assert!(service.read_stream("orders").await?.is_empty());
///     Ok::<(), kinesis_producer::error::Error>(())
/// })?;
/// let config = service.config(); // for a producer
/// # Ok::<(), kinesis_producer::error::Error>(())
/// ```
#[derive(Debug)]
pub struct LocalService {
    endpoint_url: String,
    client: Client,
    /// Taken when dropped.
    runtime: Option<tokio::runtime::Runtime>,
}

/// A Kinesis record as it lies in its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its partition key.
    pub partition_key: String,
    /// Its sequence number.
    pub sequence_number: SequenceNumber,
    /// Its shard.
    pub shard_id: ShardId,
    /// Its data.
    pub data: Bytes,
}

impl LocalService {
    /// Starts a service on a free port.
    ///
    /// # Errors
    /// `Runtime` if no port or no thread can be had.
    ///
    /// # Cancel safety
    /// It does not wait.
    #[allow(clippy::unused_async, reason = "beside start_blocking, callers of an async face expect it")]
    pub async fn start() -> Result<LocalService, Error> {
        LocalService::start_blocking()
    }

    /// The same for programs without an executor.
    ///
    /// # Errors
    /// `Runtime` if no port or no thread can be had.
    pub fn start_blocking() -> Result<LocalService, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("local-kinesis")
            .enable_all()
            .build()
            .map_err(cannot_start)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(cannot_start)?;
        listener.set_nonblocking(true).map_err(cannot_start)?;
        let endpoint_url = format!("http://{}", listener.local_addr().map_err(cannot_start)?);
        let options = StoreOptions {
            create_stream_ms: 0,
            delete_stream_ms: 0,
            update_stream_ms: 0,
            shard_limit: SHARD_LIMIT,
            aws_region: REGION.to_owned(),
            ..StoreOptions::default()
        };
        {
            let _runtime_for_sockets = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener).map_err(cannot_start)?;
            let (service, _store) = ferrokinesis::create_app(options);
            // Without this, axum refuses bodies over 2 MB with 413; PutRecords has up to 10 MiB and base64 adds a third.
            let service = service.layer(DefaultBodyLimit::disable());
            runtime.spawn(async move { axum::serve(listener, service).await });
        }
        let client = client(&endpoint_url);
        Ok(LocalService { endpoint_url, client, runtime: Some(runtime) })
    }

    /// Where it listens: the `endpoint_url` for a producer.
    #[must_use]
    pub fn endpoint_url(&self) -> &str {
        &self.endpoint_url
    }

    /// Settings with which a producer finds it, to be completed.
    #[must_use]
    pub fn config(&self) -> Config {
        let credentials = Credentials::Static {
            access_key_id: ACCESS_KEY_ID.to_owned(),
            secret_access_key: ACCESS_KEY_ID.to_owned(),
            session_token: None,
        };
        Config::new()
            .region(REGION)
            .endpoint_url(&self.endpoint_url)
            .credentials(credentials)
            // A proxy of the environment would not find this machine's loopback.
            .proxy_from_environment(false)
    }

    /// Waits for one of this service's futures, or any other, on this thread.
    ///
    /// # Panics
    /// On a thread that is driving asynchronous tasks: await there instead.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime().block_on(future)
    }

    /// Creates a stream and waits until it takes records.
    ///
    /// # Errors
    /// `Runtime` with the service's words, such as that the stream exists.
    ///
    /// # Cancel safety
    /// The stream may be created all the same.
    pub async fn create_stream(&self, name: &str, shards: u32) -> Result<(), Error> {
        let (client, name) = (self.client.clone(), name.to_owned());
        self.on_runtime(async move {
            let count = i32::try_from(shards).unwrap_or(i32::MAX);
            client.create_stream().stream_name(&name).shard_count(count).send().await.map_err(refused)?;
            wait_until_active(&client, &name).await
        })
        .await
    }

    /// Reads every Kinesis record of every shard, closed ones included: shard by shard, in order within each.
    ///
    /// # Errors
    /// `Runtime` with the service's words, such as that there is no such stream.
    ///
    /// # Cancel safety
    /// Nothing changes in the service.
    pub async fn read_stream(&self, name: &str) -> Result<Vec<StoredRecord>, Error> {
        let (client, name) = (self.client.clone(), name.to_owned());
        self.on_runtime(async move {
            let mut records = Vec::new();
            for shard_id in shard_ids(&client, &name).await? {
                read_shard(&client, &name, &shard_id, &mut records).await?;
            }
            Ok(records)
        })
        .await
    }

    /// Sets the number of open shards and waits until the stream takes records again.
    ///
    /// # Errors
    /// `Runtime` with the service's words, such as a number that is more than twice the present one.
    ///
    /// # Cancel safety
    /// The shards may change all the same.
    pub async fn update_shard_count(&self, name: &str, shards: u32) -> Result<(), Error> {
        let (client, name) = (self.client.clone(), name.to_owned());
        self.on_runtime(async move {
            let count = i32::try_from(shards).unwrap_or(i32::MAX);
            let call = client.update_shard_count().stream_name(&name).target_shard_count(count);
            call.scaling_type(ScalingType::UniformScaling).send().await.map_err(refused)?;
            wait_until_active(&client, &name).await
        })
        .await
    }

    /// Splits a shard in two, the second starting at hash key `at`, and waits until the stream takes records again.
    ///
    /// # Errors
    /// `Runtime` with the service's words, such as a hash key outside the shard.
    ///
    /// # Cancel safety
    /// The shard may be split all the same.
    pub async fn split_shard(&self, name: &str, shard: &ShardId, at: HashKey) -> Result<(), Error> {
        let (client, name, shard) = (self.client.clone(), name.to_owned(), shard.clone());
        self.on_runtime(async move {
            let call = client.split_shard().stream_name(&name).shard_to_split(shard.as_str());
            call.new_starting_hash_key(at.to_string()).send().await.map_err(refused)?;
            wait_until_active(&client, &name).await
        })
        .await
    }

    /// Merges two neighbouring shards and waits until the stream takes records again.
    ///
    /// # Errors
    /// `Runtime` with the service's words, such as that they are no neighbours.
    ///
    /// # Cancel safety
    /// The shards may be merged all the same.
    pub async fn merge_shards(&self, name: &str, shard: &ShardId, neighbour: &ShardId) -> Result<(), Error> {
        let (client, name) = (self.client.clone(), name.to_owned());
        let (shard, neighbour) = (shard.clone(), neighbour.clone());
        self.on_runtime(async move {
            let call = client.merge_shards().stream_name(&name).shard_to_merge(shard.as_str());
            call.adjacent_shard_to_merge(neighbour.as_str()).send().await.map_err(refused)?;
            wait_until_active(&client, &name).await
        })
        .await
    }

    /// Runs the work where the SDK finds its timers and sockets, whoever awaits it.
    async fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        match self.runtime().spawn(work).await {
            Ok(result) => result,
            Err(error) => Err(Error::new(ErrorKind::Runtime, format!("local service: {error}")).with_source(error)),
        }
    }

    fn runtime(&self) -> &tokio::runtime::Runtime {
        self.runtime.as_ref().expect("only drop takes the runtime")
    }
}

impl Drop for LocalService {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for its thread would panic on a thread that drives asynchronous tasks.
            runtime.shutdown_background();
        }
    }
}

fn client(endpoint_url: &str) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .endpoint_url(endpoint_url)
        .credentials_provider(SdkCredentials::new(ACCESS_KEY_ID, ACCESS_KEY_ID, None, None, "local service"))
        .build();
    Client::from_conf(config)
}

async fn wait_until_active(client: &Client, name: &str) -> Result<(), Error> {
    let mut ticks = tokio::time::interval(STATUS_INTERVAL);
    loop {
        ticks.tick().await;
        let answer = client.describe_stream_summary().stream_name(name).send().await.map_err(refused)?;
        if answer.stream_description_summary().is_some_and(|summary| summary.stream_status() == &StreamStatus::Active) {
            return Ok(());
        }
    }
}

async fn shard_ids(client: &Client, name: &str) -> Result<Vec<String>, Error> {
    let mut ids = Vec::new();
    let mut next = client.list_shards().stream_name(name);
    loop {
        let page = next.send().await.map_err(refused)?;
        ids.extend(page.shards.unwrap_or_default().into_iter().map(|shard| shard.shard_id));
        match page.next_token {
            Some(token) => next = client.list_shards().next_token(token),
            None => return Ok(ids),
        }
    }
}

async fn read_shard(client: &Client, name: &str, id: &str, records: &mut Vec<StoredRecord>) -> Result<(), Error> {
    let call = client.get_shard_iterator().stream_name(name).shard_id(id);
    let answer = call.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.map_err(refused)?;
    let shard_id = ShardId::new(id);
    let mut iterator = answer.shard_iterator;
    while let Some(position) = iterator {
        let answer = client.get_records().shard_iterator(position).send().await.map_err(refused)?;
        let at_end = answer.records.is_empty() && answer.millis_behind_latest.unwrap_or_default() == 0;
        records.extend(answer.records.into_iter().map(|record| StoredRecord {
            partition_key: record.partition_key.unwrap_or_default(),
            sequence_number: SequenceNumber::new(&record.sequence_number),
            shard_id: shard_id.clone(),
            data: Bytes::from(record.data.into_inner()),
        }));
        iterator = answer.next_shard_iterator.filter(|_| !at_end);
    }
    Ok(())
}

fn cannot_start(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Runtime, format!("local service: {error}")).with_source(error)
}

fn refused<E, R>(error: SdkError<E, R>) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let words: Arc<str> = aws_sdk_kinesis::error::DisplayErrorContext(&error).to_string().into();
    Error::new(ErrorKind::Runtime, format!("local service: {words}")).with_source(error)
}
