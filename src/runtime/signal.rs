//! A file descriptor that is readable while something is there: for programs that wait with `poll` or `epoll`. A pair of sockets,
//! with one byte in it at most.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::error::{Error, ErrorKind};

/// Set or not set; its owner's lock orders the changes.
#[derive(Debug)]
pub(crate) struct Signal {
    reader: UnixStream,
    writer: UnixStream,
    is_set: AtomicBool,
}

impl Signal {
    /// Not set.
    ///
    /// # Errors
    /// `Runtime` if the system has no more descriptors.
    pub(crate) fn new() -> Result<Signal, Error> {
        let pair = UnixStream::pair().and_then(|(reader, writer)| {
            reader.set_nonblocking(true)?;
            writer.set_nonblocking(true)?;
            Ok((reader, writer))
        });
        let (reader, writer) = pair.map_err(|cause| {
            Error::new(ErrorKind::Runtime, format!("no file descriptor for reports: {cause}")).with_source(cause)
        })?;
        Ok(Signal { reader, writer, is_set: AtomicBool::new(false) })
    }

    /// Sets or clears it. It never blocks; a byte that could not be moved is moved the next time.
    pub(crate) fn set(&self, on: bool) {
        if self.is_set.load(SeqCst) == on {
            return;
        }
        let moved = if on { (&self.writer).write(&[1]) } else { (&self.reader).read(&mut [0]) };
        if moved.is_ok_and(|bytes| bytes == 1) {
            self.is_set.store(on, SeqCst);
        }
    }
}

impl AsFd for Signal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
