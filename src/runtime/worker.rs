//! The producer's threads: one small tokio runtime on which drivers, hashing, sending and ListShards run, and the thread that
//! runs a report callback. Nothing else spawns. Threads do not grow with shards, streams or load.
#![allow(clippy::disallowed_methods)]

use std::future::Future;
use std::sync::Mutex;
use std::thread::JoinHandle as Thread;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::error::{Error, ErrorKind};

/// Owns the runtime; dropping it stops every task without waiting.
#[derive(Debug)]
pub(crate) struct Worker {
    runtime: Mutex<Option<Runtime>>,
    handle: Handle,
}

impl Worker {
    /// # Errors
    /// `Runtime` if the system gives no threads.
    pub(crate) fn start(threads: usize) -> Result<Worker, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(4)
            .thread_name("kinesis-producer")
            .enable_all()
            .build()
            .map_err(|cause| {
                let message = format!("{threads} worker threads could not be started: {cause}");
                Error::new(ErrorKind::Runtime, message).with_source(cause)
            })?;
        Ok(Worker { handle: runtime.handle().clone(), runtime: Mutex::new(Some(runtime)) })
    }

    /// Runs a task. It is dropped unfinished when the producer is.
    pub(crate) fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.handle.spawn(task)
    }

    /// Runs what may block, on a thread of its own for as long as it takes.
    pub(crate) fn spawn_blocking<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        self.handle.spawn_blocking(call)
    }

    /// Stops every task at its next await, without waiting for it.
    pub(crate) fn stop(&self) {
        let runtime = self.runtime.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A thread of its own, for a caller's callback.
pub(crate) fn spawn_thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<Thread<()>, Error> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(|cause| {
        Error::new(ErrorKind::Runtime, format!("thread {name} could not be started: {cause}")).with_source(cause)
    })
}
