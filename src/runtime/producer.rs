//! What the streams of a producer share: threads, connections, budget, the transport, and the way reports go.

use std::collections::HashMap;
use std::future::poll_fn;
#[cfg(feature = "cloudwatch")]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::budget::Budget;
use super::clock::Clock;
use super::driver::Driver;
use super::reports::{Budgets, ReportQueue, Reports};
use super::stream::{Delivered, StreamShared};
use super::transport::Transport;
#[cfg(feature = "cloudwatch")]
use super::upload::{UploadSettings, Uploads};
use super::worker::{Worker, spawn_thread};
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::metrics::{
    ConnectionStatistics, Counters, Metric, MetricValues, OutstandingStatistics, Statistics, WINDOW_SECONDS, levels,
};
use crate::time::Time;

/// How reports reach the caller.
#[derive(Default)]
#[non_exhaustive]
pub enum ReportMode {
    /// Each put gives a [`Ticket`](super::Ticket).
    #[default]
    Tickets,
    /// Puts give a number of the caller's; reports are taken from a queue. A user record counts as outstanding until its report
    /// is taken.
    Queue,
    /// The same, but one thread calls this function with the reports, one call at a time. A user record counts as outstanding
    /// until the call has returned. The function may put; it must not close or drop the producer.
    Callback(Box<dyn FnMut(Reports) + Send>),
}

impl std::fmt::Debug for ReportMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ReportMode::Tickets => "Tickets",
            ReportMode::Queue => "Queue",
            ReportMode::Callback(_) => "Callback",
        })
    }
}

/// The caller's function for statistics.
pub(crate) type Watcher = Box<dyn FnMut(&Statistics) + Send>;

/// A producer, as its faces and streams see it.
pub(crate) struct ProducerShared {
    config: Config,
    pub(crate) clock: Clock,
    pub(crate) worker: Arc<Worker>,
    transport: Arc<dyn Transport>,
    budget: Arc<Budget>,
    connections: Arc<Semaphore>,
    delivered: Delivered,
    streams: Mutex<HashMap<String, Arc<StreamShared>>>,
    closed: AtomicBool,
    #[cfg(feature = "cloudwatch")]
    uploads: OnceLock<Uploads>,
}

impl ProducerShared {
    /// # Errors
    /// `InvalidConfig`, or `Runtime` if the callback's thread cannot be started.
    pub(crate) fn new(
        config: Config,
        mode: ReportMode,
        worker: Arc<Worker>,
        transport: Arc<dyn Transport>,
    ) -> Result<Arc<ProducerShared>, Error> {
        config.check()?;
        let ignored = config.ignored_keys();
        if !ignored.is_empty() {
            tracing::warn!(keys = ignored.join(", "), "these settings are known and have no effect in this library");
        }
        let delivered = match mode {
            ReportMode::Tickets => Delivered::Tickets,
            ReportMode::Queue => Delivered::Queue(Arc::default()),
            ReportMode::Callback(callback) => Delivered::Queue(start_dispatcher(callback)?),
        };
        Ok(Arc::new(ProducerShared {
            clock: Clock::start(),
            worker,
            transport,
            budget: Arc::new(Budget::new(config.max_outstanding_records, config.max_outstanding_bytes)),
            connections: Arc::new(Semaphore::new(config.max_connections)),
            delivered,
            streams: Mutex::default(),
            closed: AtomicBool::new(false),
            #[cfg(feature = "cloudwatch")]
            uploads: OnceLock::new(),
            config,
        }))
    }

    /// The stream of this name or ARN, opened at its first use.
    pub(crate) fn stream(&self, name: &str) -> Arc<StreamShared> {
        if let Some(stream) = self.streams().get(name) {
            return Arc::clone(stream);
        }
        // Without the lock: a new stream tells the application's recorder of its metrics, and that is foreign code.
        let config = self.config.for_stream(name);
        let share = config.max_outstanding_records.is_some() || config.max_outstanding_bytes.is_some();
        let share = share.then(|| {
            let records = config.max_outstanding_records.unwrap_or(usize::MAX);
            Arc::new(Budget::new(records, config.max_outstanding_bytes.unwrap_or(usize::MAX)))
        });
        let budgets = Budgets { producer: Arc::clone(&self.budget), stream: share };
        let seed = fastrand::u64(..);
        let stream = StreamShared::new(name.into(), config, seed, self.clock, budgets, self.delivered.clone());
        let stream = Arc::new(stream);
        let mut streams = self.streams();
        if let Some(stream) = streams.get(name) {
            return Arc::clone(stream);
        }
        if self.closed.load(SeqCst) {
            stream.close();
        } else {
            let driver = Driver {
                stream: Arc::clone(&stream),
                transport: Arc::clone(&self.transport),
                worker: Arc::clone(&self.worker),
                connections: Arc::clone(&self.connections),
            };
            self.worker.spawn(driver.run());
        }
        streams.insert(name.to_owned(), Arc::clone(&stream));
        stream
    }

    /// User records and bytes accepted and not delivered.
    pub(crate) fn outstanding(&self) -> (usize, usize) {
        self.budget.outstanding()
    }

    /// How long ago the oldest undecided user record was put.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        let oldest = self.all_streams().iter().filter_map(|stream| stream.oldest()).min()?;
        Some(self.clock.now().since(oldest))
    }

    pub(crate) fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.all_streams().iter().for_each(|stream| sum.add(&stream.counters()));
        sum
    }

    /// A metric, or all of them, of the last `window`, or since the start.
    ///
    /// # Errors
    /// `InvalidWindow`.
    pub(crate) fn metrics(&self, metric: Option<Metric>, window: Option<Duration>) -> Result<Vec<MetricValues>, Error> {
        let seconds = window.map(checked_window).transpose()?;
        let streams = self.all_streams();
        let mut values = levels(streams.iter().map(|stream| (&stream.name, stream.metrics(seconds))));
        values.retain(|values| metric.is_none_or(|metric| values.metric == metric));
        Ok(values)
    }

    /// A look at everything.
    pub(crate) fn statistics(&self) -> Statistics {
        let (records, bytes) = self.outstanding();
        let streams = self.all_streams().into_iter().map(|stream| (stream.name.to_string(), stream.statistics()));
        let mut look = Statistics {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time_ms: u64::try_from(Clock::unix_time().as_millis()).unwrap_or(u64::MAX),
            age_ms: u64::try_from(self.clock.now().since(Time::ZERO).as_millis()).unwrap_or(u64::MAX),
            outstanding: OutstandingStatistics {
                records,
                max_records: self.budget.max_records(),
                bytes,
                max_bytes: self.budget.max_bytes(),
                reports_not_taken: self.budget.untaken(),
                oldest_ms: None,
            },
            connections: ConnectionStatistics {
                in_use: self.config.max_connections.saturating_sub(self.connections.available_permits()),
                max: self.config.max_connections,
            },
            streams: streams.collect(),
            ..Statistics::default()
        };
        for stream in look.streams.values() {
            look.counters.add(&stream.counters);
            let oldest = look.outstanding.oldest_ms.into_iter().chain(stream.oldest_ms);
            look.outstanding.oldest_ms = oldest.max_by(f64::total_cmp);
        }
        look.find()
    }

    /// Calls the caller's function with a look at everything, once every `statistics_interval`, until the producer is gone.
    pub(crate) fn watch(self: &Arc<ProducerShared>, callback: Watcher) {
        let (producer, worker) = (Arc::downgrade(self), Arc::downgrade(&self.worker));
        let (clock, interval) = (self.clock, self.config.statistics_interval);
        self.worker.spawn(async move {
            let mut callback = callback;
            let mut next = clock.now();
            loop {
                next = (next + interval).max(clock.now());
                clock.wait_until(next).await;
                let (Some(producer), Some(worker)) = (producer.upgrade(), worker.upgrade()) else { return };
                // The function may block; a panic of the caller's must not silence the calls that follow.
                let call = worker.spawn_blocking(move || {
                    let call = std::panic::AssertUnwindSafe(|| callback(&producer.statistics()));
                    if std::panic::catch_unwind(call).is_err() {
                        tracing::error!("the statistics callback panicked");
                    }
                    callback
                });
                drop(worker);
                match call.await {
                    Ok(back) => callback = back,
                    // The producer is being stopped.
                    Err(_) => return,
                }
            }
        });
    }

    /// Uploads metrics from now on.
    #[cfg(feature = "cloudwatch")]
    pub(crate) fn start_uploads(self: &Arc<ProducerShared>, settings: UploadSettings) {
        self.uploads.get_or_init(|| Uploads::start(self, settings));
    }

    /// Uploads the last metrics, if any are uploaded: until `deadline`, or a little longer.
    #[cfg(feature = "cloudwatch")]
    pub(crate) async fn finish_uploads(&self, deadline: Time) {
        if let Some(uploads) = self.uploads.get() {
            uploads.finish(deadline, self.clock.now()).await;
        }
    }

    /// What was counted since this was last asked for, by stream.
    #[cfg(feature = "cloudwatch")]
    pub(super) fn take_unsent(&self) -> Vec<(Arc<str>, crate::metrics::Unsent)> {
        self.all_streams().iter().map(|stream| (Arc::clone(&stream.name), stream.take_unsent())).collect()
    }

    /// Takes reports from the queue; none if the producer has another way of reporting.
    pub(crate) fn poll_reports(&self, most: usize, timeout: Duration) -> Reports {
        match &self.delivered {
            Delivered::Queue(queue) if !queue.is_dispatched() => {
                queue.poll(most, &self.clock, self.clock.now() + timeout)
            }
            Delivered::Queue(_) | Delivered::Tickets => Reports::default(),
        }
    }

    /// What is readable while there are reports in the queue.
    ///
    /// # Errors
    /// `WrongReportMode` if the caller takes no reports from a queue; `Runtime`.
    #[cfg(unix)]
    pub(crate) fn reports_fd(&self) -> Result<std::os::fd::BorrowedFd<'_>, Error> {
        match &self.delivered {
            Delivered::Queue(queue) if !queue.is_dispatched() => queue.fd(),
            Delivered::Queue(_) | Delivered::Tickets => {
                let message = "this producer reports by ticket or callback: there is no queue of reports to wait for";
                Err(Error::new(ErrorKind::WrongReportMode, message))
            }
        }
    }

    /// Ends the linger of all accepted user records and waits until they are decided, or until `deadline`. Returns whether they
    /// are.
    pub(crate) async fn flush(self: Arc<ProducerShared>, deadline: Time) -> bool {
        let producer = Arc::clone(&self);
        // The clock waits only on the producer's runtime.
        let task = self.worker.spawn(async move {
            let streams = producer.all_streams();
            let flushes: Vec<Option<u64>> =
                streams.iter().map(|stream| stream.enter(|pipeline, now| pipeline.flush(now))).collect();
            let decided = async {
                for (stream, flush) in streams.iter().zip(flushes) {
                    let Some(flush) = flush else { continue };
                    let _leave = Leave { stream, flush };
                    let is_flushed = |context: &mut Context<'_>| stream.is_flushed(flush, context.waker());
                    poll_fn(|context| if is_flushed(context) { Poll::Ready(()) } else { Poll::Pending }).await;
                    // Decided, and perhaps on its way to the tickets in another thread, which does not block.
                    while stream.is_handing_out() {
                        tokio::task::yield_now().await;
                    }
                }
            };
            tokio::select! {
                () = decided => true,
                () = producer.clock.wait_until(deadline) => false,
            }
        });
        // An error means that the producer was dropped, which reported everything.
        (&mut AbortOnDrop(task).0).await.unwrap_or(true)
    }

    /// Takes no more user records; those who wait for room are told.
    pub(crate) fn stop_intake(&self) {
        self.closed.store(true, SeqCst);
        for stream in self.all_streams() {
            stream.close();
            stream.budgets.all().for_each(|budget| budget.close());
        }
        self.budget.close();
    }

    /// Reports everything undecided as aborted before this returns. Gives how many user records that were.
    pub(crate) fn abort_streams(&self) -> usize {
        self.stop_intake();
        self.all_streams().iter().map(|stream| stream.abort()).sum()
    }

    /// The same, and stops at once.
    pub(crate) fn abort(&self) -> usize {
        let aborted = self.abort_streams();
        self.worker.stop();
        if let Delivered::Queue(queue) = &self.delivered {
            queue.end();
        }
        aborted
    }

    fn all_streams(&self) -> Vec<Arc<StreamShared>> {
        self.streams().values().cloned().collect()
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<String, Arc<StreamShared>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn checked_window(window: Duration) -> Result<u64, Error> {
    let seconds = window.as_secs();
    if Duration::from_secs(seconds) == window && (1..=WINDOW_SECONDS).contains(&seconds) {
        return Ok(seconds);
    }
    let message =
        format!("window: {window:?}: 1 to {WINDOW_SECONDS} whole seconds are allowed, or none for all since the start");
    Err(Error::new(ErrorKind::InvalidWindow, message))
}

/// The task of a flush that nobody waits for any more ends with it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// However the wait for a flush ends, the stream forgets who waited.
struct Leave<'a> {
    stream: &'a StreamShared,
    flush: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.stream.forget_flush(self.flush);
    }
}

/// Starts the thread that calls the caller's function. It ends when the queue does and is empty.
fn start_dispatcher(mut callback: Box<dyn FnMut(Reports) + Send>) -> Result<Arc<ReportQueue>, Error> {
    let queue = Arc::new(ReportQueue::dispatched());
    let taken = Arc::clone(&queue);
    spawn_thread("kinesis-reports", move || {
        taken.dispatch_here();
        while let Some((reports, room)) = taken.next() {
            // A panic of the caller's must not silence the reports that follow.
            let call = std::panic::AssertUnwindSafe(|| callback(reports));
            if std::panic::catch_unwind(call).is_err() {
                tracing::error!("the report callback panicked; its reports count as delivered");
            }
            room.give_back();
        }
    })?;
    Ok(queue)
}
