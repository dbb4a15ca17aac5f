//! The blocking face: the same producer for programs without async. Each function that waits takes a time-out.

use std::future::Future;
use std::time::Duration;

use crate::config::Config;
use crate::core::Report;
use crate::error::{Error, PutError};
use crate::metrics::{Counters, Metric, MetricValues, Statistics};
use crate::producer::{self, Outstanding, ProducerBuilder, PutMany};
use crate::record::UserRecord;
use crate::runtime::{Clock, Reports, Ticket, wait};
use crate::time::Time;

/// Puts user records into Kinesis streams, blocking the calling thread where it waits. See [`crate::Producer`].
#[derive(Debug)]
pub struct Producer {
    inner: producer::Producer,
}

impl Producer {
    /// See [`crate::Producer::new`].
    ///
    /// # Errors
    /// As there.
    pub fn new(config: Config) -> Result<Producer, Error> {
        Producer::build(producer::Producer::builder(config))
    }

    /// See [`ProducerBuilder::build`].
    ///
    /// # Errors
    /// As there.
    pub fn build(builder: ProducerBuilder) -> Result<Producer, Error> {
        let built = wait(builder.build(), &Clock::start(), Time::NEVER);
        Ok(Producer { inner: built.expect("a wait without time-out ends with a value")? })
    }

    /// See [`crate::Producer::stream`].
    ///
    /// # Errors
    /// As there.
    pub fn stream(&self, name: &str) -> Result<Stream, Error> {
        Ok(Stream { inner: self.inner.stream(name)?, clock: self.inner.shared().clock })
    }

    /// See [`crate::Producer::poll_reports`].
    #[must_use]
    pub fn poll_reports(&self, most: usize, timeout: Duration) -> Reports {
        self.inner.poll_reports(most, timeout)
    }

    /// See [`crate::Producer::reports_fd`].
    ///
    /// # Errors
    /// As there.
    #[cfg(unix)]
    pub fn reports_fd(&self) -> Result<std::os::fd::BorrowedFd<'_>, Error> {
        self.inner.reports_fd()
    }

    /// See [`crate::Producer::flush`].
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> bool {
        self.wait(self.inner.flush(timeout)).unwrap_or(false)
    }

    /// See [`crate::Producer::close`].
    pub fn close(&self, timeout: Duration) -> usize {
        self.wait(self.inner.close(timeout)).unwrap_or(0)
    }

    /// See [`crate::Producer::abort`].
    pub fn abort(&self) -> usize {
        self.inner.abort()
    }

    /// See [`crate::Producer::outstanding`].
    #[must_use]
    pub fn outstanding(&self) -> Outstanding {
        self.inner.outstanding()
    }

    /// See [`crate::Producer::metrics`].
    ///
    /// # Errors
    /// `InvalidWindow`.
    pub fn metrics(&self, metric: Option<Metric>, window: Option<Duration>) -> Result<Vec<MetricValues>, Error> {
        self.inner.metrics(metric, window)
    }

    /// See [`crate::Producer::statistics`].
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.inner.statistics()
    }

    /// See [`crate::Producer::counters`].
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.inner.counters()
    }

    /// What it waits for ends by itself: it has its own time-out.
    fn wait<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        wait(future, &self.inner.shared().clock, Time::NEVER)
    }
}

/// A stream of a [`Producer`]. See [`crate::Stream`].
#[derive(Clone, Debug)]
pub struct Stream {
    inner: producer::Stream,
    clock: Clock,
}

impl Stream {
    /// Puts a user record, waiting up to `timeout` for room.
    ///
    /// # Errors
    /// [`PutError`], also `TimedOut`: nothing was kept.
    pub fn put(&self, record: UserRecord<'_>, timeout: Duration) -> Result<Ticket, PutError> {
        self.wait(self.inner.put(record), timeout).unwrap_or(Err(PutError::TimedOut))
    }

    /// See [`crate::Stream::try_put`].
    ///
    /// # Errors
    /// As there.
    pub fn try_put(&self, record: UserRecord<'_>) -> Result<Ticket, PutError> {
        self.inner.try_put(record)
    }

    /// Puts many user records in order, waiting up to `timeout` for room; what was accepted until then stays accepted.
    pub fn put_many(&self, records: &[UserRecord<'_>], timeout: Duration) -> PutMany {
        self.put_all(records.iter().map(|record| (*record, None)), timeout)
    }

    /// See [`crate::Stream::try_put_many`].
    pub fn try_put_many(&self, records: &[UserRecord<'_>]) -> PutMany {
        self.inner.try_put_many(records)
    }

    /// Puts a user record without a ticket, waiting up to `timeout` for room. See [`crate::Stream::put_detached`].
    ///
    /// # Errors
    /// [`PutError`], also `TimedOut`: nothing was kept.
    pub fn put_detached(&self, record: UserRecord<'_>, opaque: u64, timeout: Duration) -> Result<(), PutError> {
        self.wait(self.inner.put_detached(record, opaque), timeout).unwrap_or(Err(PutError::TimedOut))
    }

    /// See [`crate::Stream::try_put_detached`].
    ///
    /// # Errors
    /// As there.
    pub fn try_put_detached(&self, record: UserRecord<'_>, opaque: u64) -> Result<(), PutError> {
        self.inner.try_put_detached(record, opaque)
    }

    /// Puts many user records, each with its number, without tickets, waiting up to `timeout` for room; what was accepted until
    /// then stays accepted.
    pub fn put_many_detached<'a>(
        &self,
        records: impl IntoIterator<Item = (UserRecord<'a>, u64)>,
        timeout: Duration,
    ) -> PutMany {
        self.put_all(records.into_iter().map(|(record, opaque)| (record, Some(opaque))), timeout)
    }

    /// See [`crate::Stream::try_put_many_detached`].
    pub fn try_put_many_detached<'a>(&self, records: impl IntoIterator<Item = (UserRecord<'a>, u64)>) -> PutMany {
        self.inner.try_put_many_detached(records)
    }

    /// Waits up to `timeout` for a ticket's report.
    #[must_use]
    pub fn report(&self, ticket: &mut Ticket, timeout: Duration) -> Option<Report> {
        self.wait(ticket, timeout)
    }

    fn put_all<'a>(&self, records: impl Iterator<Item = (UserRecord<'a>, Option<u64>)>, timeout: Duration) -> PutMany {
        let mut many = PutMany::default();
        if self.wait(self.inner.put_into(records, &mut many), timeout).is_none() {
            many.stopped = Some(PutError::TimedOut);
        }
        many
    }

    fn wait<T>(&self, future: impl Future<Output = T>, timeout: Duration) -> Option<T> {
        wait(future, &self.clock, self.clock.now() + timeout)
    }
}
