//! The async face. Its futures run on any executor: the producer has threads of its own, and the faces only wait.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use crate::config::Config;
use crate::error::{Error, ErrorKind, PutError};
use crate::metrics::{Counters, Metric, MetricValues, Statistics};
use crate::record::UserRecord;
#[cfg(feature = "cloudwatch")]
use crate::runtime::UploadSettings;
use crate::runtime::aws::{AwsTransport, Credentials, TransportSettings};
use crate::runtime::transport::Transport;
use crate::runtime::{Placed, Prepared, ProducerShared, ReportMode, Reports, StreamShared, Ticket, Watcher, Worker};

/// Puts user records into Kinesis streams.
///
/// One producer serves many streams and threads; it owns a few threads of its own. Dropping it stops it at once: what is
/// undecided is reported `Aborted`. Call [`close`](Producer::close) to finish first.
pub struct Producer {
    shared: Arc<ProducerShared>,
}

impl Producer {
    /// A producer that reports by [`Ticket`] and talks to AWS, or to the configured endpoint.
    ///
    /// # Errors
    /// `InvalidConfig` with all that is wrong; `NoRegion`, `NoCredentials`, `Io` (a certificate file), `Runtime`.
    ///
    /// # Cancel safety
    /// Leaves nothing behind.
    pub async fn new(config: Config) -> Result<Producer, Error> {
        Producer::builder(config).build().await
    }

    /// A producer with another way of reporting, credentials from a provider object, or another transport.
    #[must_use]
    pub fn builder(config: Config) -> ProducerBuilder {
        ProducerBuilder {
            config,
            mode: ReportMode::Tickets,
            credentials: None,
            #[cfg(feature = "cloudwatch")]
            cloudwatch_credentials: None,
            transport: None,
            watcher: None,
        }
    }

    /// A stream by name or ARN. It is opened at its first use: its shards are looked up in the background.
    ///
    /// # Errors
    /// `InvalidStreamName` unless it is an ARN or 1 to 128 of the characters a–z, A–Z, 0–9, `_`, `.` and `-`.
    pub fn stream(&self, name: &str) -> Result<Stream, Error> {
        check_stream_name(name)?;
        Ok(Stream { shared: self.shared.stream(name) })
    }

    /// Takes reports from the queue of [`ReportMode::Queue`]: waits up to `timeout` for the first, then takes at most `most`
    /// (but at least those of one Kinesis record). Blocks the calling thread.
    #[must_use]
    pub fn poll_reports(&self, most: usize, timeout: Duration) -> Reports {
        self.shared.poll_reports(most, timeout)
    }

    /// A file descriptor for programs that wait with `poll` or `epoll`: readable as long as there are reports to take, and for
    /// good once no more will come. It belongs to the producer; never read from it.
    ///
    /// # Errors
    /// `WrongReportMode` unless it was built with [`ReportMode::Queue`]; `Runtime` if there are no more descriptors.
    #[cfg(unix)]
    pub fn reports_fd(&self) -> Result<std::os::fd::BorrowedFd<'_>, Error> {
        self.shared.reports_fd()
    }

    /// Sends what was accepted so far without further linger, and waits until it is decided, at most `timeout`. Returns whether
    /// it is. Pacing and backoff go on as they are.
    ///
    /// # Cancel safety
    /// A future dropped before it is ready only stops waiting: once polled, it has ended the linger.
    pub async fn flush(&self, timeout: Duration) -> bool {
        Arc::clone(&self.shared).flush(self.shared.clock.now() + timeout).await
    }

    /// Takes no more user records (waiting puts get `Closed`), flushes, and after `timeout` reports the rest `Aborted`. Returns
    /// how many user records that were. If metrics are uploaded to CloudWatch, the last ones are uploaded then: until `timeout` is
    /// over, but for two seconds at least and five at most. The producer is stopped afterwards.
    ///
    /// # Cancel safety
    /// A future that was polled and is dropped before it is ready has stopped the intake and ended the linger, and aborts
    /// nothing before `timeout`: what was accepted goes its way. Close again, abort, or drop the producer.
    pub async fn close(&self, timeout: Duration) -> usize {
        let deadline = self.shared.clock.now() + timeout;
        self.shared.stop_intake();
        Arc::clone(&self.shared).flush(deadline).await;
        let rest = self.shared.abort_streams();
        #[cfg(feature = "cloudwatch")]
        self.shared.finish_uploads(deadline).await;
        self.shared.abort();
        if rest > 0 {
            tracing::warn!(rest, "closed before everything was decided: the rest was reported Aborted");
        }
        rest
    }

    /// Stops at once: what is undecided is reported `Aborted` before this returns. Returns how many user records that were.
    /// It is no future: once called it is done, and it waits for nothing but reports that other threads are handing out.
    pub fn abort(&self) -> usize {
        self.shared.abort()
    }

    /// What was accepted and not delivered yet: user records, and bytes of data and partition keys.
    #[must_use]
    pub fn outstanding(&self) -> Outstanding {
        let (records, bytes) = self.shared.outstanding();
        Outstanding { records, bytes, oldest: self.shared.oldest() }
    }

    /// A look at everything at this moment: queues, shards, times, hot keys, and what of it stands out. Costs some microseconds
    /// a shard; the streams' locks are held for moments only.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.shared.statistics()
    }

    /// What was done since the producer was created.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// A metric of the KPL's ([`Metric::from_name`] finds it by name), or all of them: of the last `window` (1 to 60 whole
    /// seconds, the present one included), or since the start. Each is given for the producer, every stream and every shard, and
    /// errors by code as well; what never had a value is not there. Whatever `metrics_level` says, all are counted. A stream
    /// tells up to 1,024 shards and 64 error codes apart.
    ///
    /// # Errors
    /// `InvalidWindow`.
    pub fn metrics(&self, metric: Option<Metric>, window: Option<Duration>) -> Result<Vec<MetricValues>, Error> {
        self.shared.metrics(metric, window)
    }

    pub(crate) fn shared(&self) -> &Arc<ProducerShared> {
        &self.shared
    }
}

/// What a [`Producer`] is made of, beside its configuration.
pub struct ProducerBuilder {
    config: Config,
    mode: ReportMode,
    credentials: Option<SharedCredentialsProvider>,
    #[cfg(feature = "cloudwatch")]
    cloudwatch_credentials: Option<SharedCredentialsProvider>,
    transport: Option<Arc<dyn Transport>>,
    watcher: Option<Watcher>,
}

impl ProducerBuilder {
    /// How reports reach the caller. Default: by ticket.
    #[must_use]
    pub fn report_mode(mut self, mode: ReportMode) -> ProducerBuilder {
        self.mode = mode;
        self
    }

    /// Credentials from a provider object instead of what the configuration says; it is asked again before they expire.
    #[must_use]
    pub fn credentials_provider(mut self, provider: impl ProvideCredentials + 'static) -> ProducerBuilder {
        self.credentials = Some(SharedCredentialsProvider::new(provider));
        self
    }

    /// Calls a function with the producer's [`Statistics`] once every `statistics_interval`, on a thread of the producer's, one
    /// call at a time. It may block; the next call comes when it is over. The last one may still run while the producer is
    /// dropped.
    #[must_use]
    pub fn on_statistics(mut self, callback: impl FnMut(&Statistics) + Send + 'static) -> ProducerBuilder {
        self.watcher = Some(Box::new(callback));
        self
    }

    /// Credentials for CloudWatch from a provider object instead of those for Kinesis. Fixed ones of the configuration
    /// (`cloudwatch_access_key_id`) come first.
    #[cfg(feature = "cloudwatch")]
    #[must_use]
    pub fn cloudwatch_credentials_provider(mut self, provider: impl ProvideCredentials + 'static) -> ProducerBuilder {
        self.cloudwatch_credentials = Some(SharedCredentialsProvider::new(provider));
        self
    }

    /// Another way to the service than AWS's: for tests and benches of programs that use this library. Without an endpoint for
    /// CloudWatch in the configuration, no metrics are uploaded then.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> ProducerBuilder {
        self.transport = Some(transport);
        self
    }

    /// Starts the producer: finds region and credentials, reads certificates, starts the threads. It connects to nothing but
    /// what the credentials need.
    ///
    /// # Errors
    /// As [`Producer::new`]; `InvalidConfig` also if there is a function for statistics and `statistics_interval` is 0.
    ///
    /// # Cancel safety
    /// Leaves nothing behind.
    pub async fn build(self) -> Result<Producer, Error> {
        self.config.check()?;
        if self.watcher.is_some() && self.config.statistics_interval.is_zero() {
            let message =
                "statistics_interval: 0 is never, but there is a function to call with statistics: say how often";
            return Err(Error::new(ErrorKind::InvalidConfig, message));
        }
        let worker = Arc::new(Worker::start(self.config.worker_threads)?);
        let mut settings = TransportSettings::from(&self.config);
        if let Some(provider) = self.credentials {
            settings.credentials = Credentials::Provider(provider);
        }
        #[cfg(feature = "cloudwatch")]
        let uploads = {
            let aws = self.transport.is_none().then_some(&settings);
            UploadSettings::new(&self.config, aws, self.cloudwatch_credentials)
        };
        let transport = match self.transport {
            Some(transport) => transport,
            None => {
                let transport = worker.spawn(AwsTransport::new(settings)).await.map_err(|cause| {
                    Error::new(ErrorKind::Runtime, format!("the AWS client could not be set up: {cause}"))
                        .with_source(cause)
                })?;
                Arc::new(transport?)
            }
        };
        let shared = ProducerShared::new(self.config, self.mode, worker, transport)?;
        if let Some(callback) = self.watcher {
            shared.watch(callback);
        }
        #[cfg(feature = "cloudwatch")]
        if let Some(uploads) = uploads {
            shared.start_uploads(uploads);
        }
        Ok(Producer { shared })
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.abort();
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("outstanding", &self.outstanding()).finish_non_exhaustive()
    }
}

/// What a producer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outstanding {
    /// User records.
    pub records: usize,
    /// Bytes of data and partition keys.
    pub bytes: usize,
    /// How long ago the oldest undecided one was put.
    pub oldest: Option<Duration>,
}

/// A stream of a [`Producer`]. Cheap to clone; any number of threads may put, and those that do so at the same time hardly wait for
/// each other (with order kept, they take turns). It outlives its producer, but then refuses everything.
#[derive(Clone)]
pub struct Stream {
    shared: Arc<StreamShared>,
}

impl Stream {
    /// Puts a user record, waiting for room if there is none.
    ///
    /// # Errors
    /// [`PutError`]: nothing was kept. Never `QueueFull`, except in a producer that reports by queue, when only taking reports
    /// could make room.
    ///
    /// # Cancel safety
    /// A future dropped before it is ready has kept nothing.
    pub async fn put(&self, record: UserRecord<'_>) -> Result<Ticket, PutError> {
        let prepared = self.shared.prepare(record, None)?;
        let mut ticket = None;
        self.shared.put_all(&[prepared], &mut |placed| ticket = into_ticket(placed)).await?;
        ticket.ok_or(PutError::WrongReportMode)
    }

    /// Puts a user record if there is room for it.
    ///
    /// # Errors
    /// [`PutError`], also `QueueFull`: nothing was kept.
    #[inline]
    pub fn try_put(&self, record: UserRecord<'_>) -> Result<Ticket, PutError> {
        let prepared = self.shared.prepare(record, None)?;
        let mut ticket = None;
        let (_, stopped) = self.shared.try_put_all(&[prepared], |placed| ticket = into_ticket(placed));
        stopped.map_or_else(|| ticket.ok_or(PutError::WrongReportMode), Err)
    }

    /// Puts many user records in order, waiting for room where there is none. It is the fastest way: one lock for 64 user
    /// records, and keys that were not seen lately are hashed together.
    ///
    /// # Cancel safety
    /// A future dropped before it is ready has put some prefix, whose tickets are lost.
    pub async fn put_many(&self, records: &[UserRecord<'_>]) -> PutMany {
        let mut many = PutMany { tickets: Vec::with_capacity(records.len()), ..PutMany::default() };
        self.put_into(records.iter().map(|record| (*record, None)), &mut many).await;
        many
    }

    /// Puts a prefix of `records`, as far as there is room.
    pub fn try_put_many(&self, records: &[UserRecord<'_>]) -> PutMany {
        let mut many = PutMany::default();
        self.try_put_into(records.iter().map(|record| (*record, None)), &mut many);
        many
    }

    /// Puts a user record without a ticket, waiting for room. Its report goes to the queue or the callback with the number
    /// `opaque`; a producer that reports by ticket only counts it.
    ///
    /// # Errors
    /// As [`Stream::put`].
    ///
    /// # Cancel safety
    /// A future dropped before it is ready has kept nothing.
    pub async fn put_detached(&self, record: UserRecord<'_>, opaque: u64) -> Result<(), PutError> {
        let prepared = self.shared.prepare(record, Some(opaque))?;
        self.shared.put_all(&[prepared], &mut |_| {}).await
    }

    /// The same if there is room.
    ///
    /// # Errors
    /// As [`Stream::try_put`].
    pub fn try_put_detached(&self, record: UserRecord<'_>, opaque: u64) -> Result<(), PutError> {
        let prepared = self.shared.prepare(record, Some(opaque))?;
        let (_, stopped) = self.shared.try_put_all(&[prepared], |_| {});
        stopped.map_or(Ok(()), Err)
    }

    /// Puts a prefix of `records`, each with its number, without tickets, as far as there is room.
    pub fn try_put_many_detached<'a>(&self, records: impl IntoIterator<Item = (UserRecord<'a>, u64)>) -> PutMany {
        let mut many = PutMany::default();
        self.try_put_into(records.into_iter().map(|(record, opaque)| (record, Some(opaque))), &mut many);
        many
    }

    /// Puts many user records, each with its number, without tickets, waiting for room.
    ///
    /// # Cancel safety
    /// A future dropped before it is ready has put some prefix.
    pub async fn put_many_detached<'a>(&self, records: impl IntoIterator<Item = (UserRecord<'a>, u64)>) -> PutMany {
        let mut many = PutMany::default();
        self.put_into(records.into_iter().map(|(record, opaque)| (record, Some(opaque))), &mut many).await;
        many
    }

    /// What was done on this stream since it was opened.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// The name or ARN it was opened by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Puts user records chunk by chunk until something stops it: with a number detached, without one for a ticket.
    pub(crate) async fn put_into<'a>(
        &self,
        mut records: impl Iterator<Item = (UserRecord<'a>, Option<u64>)>,
        many: &mut PutMany,
    ) {
        let mut chunk = Vec::with_capacity(CHUNK.min(records.size_hint().0));
        while many.stopped.is_none() {
            let checked = self.next_chunk(&mut records, &mut chunk);
            if chunk.is_empty() && checked.is_ok() {
                return;
            }
            let put = self.shared.put_all(&chunk, &mut |placed| many.add(placed)).await;
            many.stopped = put.and(checked).err();
        }
    }

    /// The same as far as there is room.
    fn try_put_into<'a>(&self, mut records: impl Iterator<Item = (UserRecord<'a>, Option<u64>)>, many: &mut PutMany) {
        let mut chunk = Vec::with_capacity(CHUNK.min(records.size_hint().0));
        while many.stopped.is_none() {
            let checked = self.next_chunk(&mut records, &mut chunk);
            if chunk.is_empty() && checked.is_ok() {
                return;
            }
            let (_, stopped) = self.shared.try_put_all(&chunk, |placed| many.add(placed));
            many.stopped = stopped.or(checked.err());
        }
    }

    fn next_chunk<'a>(
        &self,
        records: &mut impl Iterator<Item = (UserRecord<'a>, Option<u64>)>,
        chunk: &mut Vec<Prepared<'a>>,
    ) -> Result<(), PutError> {
        chunk.clear();
        self.shared.prepare_many(records.take(CHUNK), chunk)
    }
}

/// User records prepared together: enough to hash their keys in lanes, few enough to stay in the cache.
const CHUNK: usize = 256;

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// What became of a put of many.
#[derive(Debug, Default)]
#[must_use = "it says how many user records were accepted"]
pub struct PutMany {
    /// How many user records were accepted: the first ones, in order.
    pub accepted: usize,
    /// Their tickets; empty for puts without.
    pub tickets: Vec<Ticket>,
    /// Why the next one was not accepted; `None` if all were.
    pub stopped: Option<PutError>,
}

impl PutMany {
    fn add(&mut self, placed: Placed) {
        self.accepted += 1;
        self.tickets.extend(into_ticket(placed));
    }
}

fn into_ticket(placed: Placed) -> Option<Ticket> {
    match placed {
        Placed::Ticket(block, index) => Some(Ticket::new(block, index)),
        Placed::Detached => None,
    }
}

fn check_stream_name(name: &str) -> Result<(), Error> {
    let short = name.strip_prefix("arn:").and_then(|arn| arn.rsplit_once(":stream/")).map_or(name, |(_, short)| short);
    let sound = (1..=128).contains(&short.len())
        && short.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    if sound {
        return Ok(());
    }
    let message =
        format!("stream {name:?}: an ARN, or 1 to 128 of the characters a-z, A-Z, 0-9, _, . and - is expected");
    Err(Error::new(ErrorKind::InvalidStreamName, message))
}
