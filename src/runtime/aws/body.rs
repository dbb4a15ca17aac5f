//! The bodies that go out: our own segments instead of the SDK's serialisation, their SHA-256 for the signature, and how far
//! the connection has taken them, which decides whether a call that broke can have stored anything.
//! Units: bytes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use aws_runtime::auth::PayloadSigningOverride;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use sha2::{Digest, Sha256};

use crate::wire::put_records;

/// A body with the hash that its signature covers. Repeats of a call share it.
#[derive(Debug)]
pub(super) struct SignedBody {
    segments: Vec<Bytes>,
    len: u64,
    sha256: String,
}

impl SignedBody {
    /// Hashes the segments: about 2 cycles a byte, on the calling thread.
    /// Runs on: a worker thread.
    pub(super) fn new(body: put_records::Body) -> SignedBody {
        let mut hash = Sha256::new();
        for segment in &body.segments {
            hash.update(segment);
        }
        SignedBody { segments: body.segments, len: body.len as u64, sha256: lowercase_hex(&hash.finalize()) }
    }
}

fn lowercase_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

/// How far a call got on its way out.
#[derive(Debug, Default)]
pub(super) struct Progress {
    started: AtomicBool,
    complete: AtomicBool,
    target: OnceLock<String>,
}

impl Progress {
    /// Whether a connection was there and took some of the body.
    pub(super) fn started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// Whether the service can have the whole body. Without its last byte the service stores nothing: the length and the
    /// signed hash do not fit.
    pub(super) fn complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// Scheme, host and port of the endpoint, once it is known.
    pub(super) fn target(&self) -> Option<&str> {
        self.target.get().map(String::as_str)
    }
}

/// The segments on their way, without a copy.
struct Outgoing {
    segments: VecDeque<Bytes>,
    remaining: u64,
    progress: Arc<Progress>,
}

impl Outgoing {
    fn new(segments: impl Iterator<Item = Bytes>, progress: Arc<Progress>) -> Outgoing {
        let segments: VecDeque<Bytes> = segments.filter(|segment| !segment.is_empty()).collect();
        let remaining = segments.iter().map(|segment| segment.len() as u64).sum();
        Outgoing { segments, remaining, progress }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let segment = self.segments.pop_front();
        if let Some(segment) = &segment {
            self.remaining -= segment.len() as u64;
        }
        self.progress.started.store(true, Ordering::Release);
        if self.segments.is_empty() {
            self.progress.complete.store(true, Ordering::Release);
        }
        Poll::Ready(segment.map(|segment| Ok(Frame::data(segment))))
    }

    fn is_end_stream(&self) -> bool {
        self.segments.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

/// Puts our body (or, without one, the SDK's own) on the wire of one call and watches it go.
#[derive(Debug)]
pub(super) struct Dispatch {
    body: Option<Arc<SignedBody>>,
    progress: Arc<Progress>,
}

impl Dispatch {
    pub(super) fn new(body: Option<Arc<SignedBody>>) -> (Dispatch, Arc<Progress>) {
        let progress = Arc::new(Progress::default());
        (Dispatch { body, progress: Arc::clone(&progress) }, progress)
    }
}

#[dyn_dispatch_hint]
impl Intercept for Dispatch {
    fn name(&self) -> &'static str {
        "kinesis_producer::Dispatch"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(body) = &self.body {
            let request = context.request_mut();
            request.headers_mut().insert("content-length", body.len.to_string());
            // Without the hash the signer would take a body of several segments for a stream and sign UNSIGNED-PAYLOAD.
            cfg.interceptor_state().store_put(PayloadSigningOverride::Precomputed(body.sha256.clone()));
        }
        Ok(())
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let target = request.uri();
        let authority_end = target.find("://").map_or(0, |at| at + 3);
        let end = target[authority_end..].find('/').map_or(target.len(), |at| authority_end + at);
        // Set once: a call is made once.
        let _already_set = self.progress.target.set(target[..end].to_owned());
        let progress = Arc::clone(&self.progress);
        let outgoing = match &self.body {
            Some(body) => Outgoing::new(body.segments.iter().cloned(), progress),
            None => {
                let own = Bytes::copy_from_slice(request.body().bytes().unwrap_or_default());
                Outgoing::new(std::iter::once(own), progress)
            }
        };
        *request.body_mut() = SdkBody::from_body_1_x(outgoing);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_joined_segments() {
        let segments = vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"c")];
        let parts = SignedBody::new(put_records::Body { segments, len: 3 });
        // FIPS 180-2, appendix B.1.
        assert_eq!(parts.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn progress_tells_an_untouched_a_started_and_a_complete_body_apart() {
        let progress = Arc::new(Progress::default());
        let segments = [Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"c")];
        let mut body = Outgoing::new(segments.into_iter(), Arc::clone(&progress));
        let mut poll = || Pin::new(&mut body).poll_frame(&mut Context::from_waker(std::task::Waker::noop()));
        assert!(!progress.started());
        assert!(poll().is_ready());
        assert!(progress.started() && !progress.complete());
        assert!(poll().is_ready());
        assert!(progress.complete());
        assert!(matches!(poll(), Poll::Ready(None)));
    }
}
