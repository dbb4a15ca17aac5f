//! Sockets and HTTP: accepts, reads bodies into reused buffers, and does what a request's course says. The one file
//! that spawns tasks; each ends with its connection or with the runtime.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::clock::wait;
use crate::control;
use crate::faults::{Course, Fate};
use crate::protocol::{Format, Refusal};
use crate::world::{Mishap, World};

/// Above any request the service takes, so that the refusal can say how large it was.
const MAX_BODY_BYTES: usize = 32 << 20;
const READ_BUFFER_BYTES: usize = 512 << 10;
/// rustls reads 4 KiB at a time; behind this buffer that is no system call each.
const TLS_READ_BYTES: usize = 128 << 10;
const H2_STREAM_WINDOW: u32 = 4 << 20;
const H2_CONNECTION_WINDOW: u32 = 16 << 20;
const MAX_FREE_BUFFERS: usize = 16;

/// What every connection needs.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) world: Arc<World>,
    http: auto::Builder<TokioExecutor>,
    free_buffers: Mutex<Vec<Vec<u8>>>,
}

/// The connection is to end without an answer.
#[derive(Debug)]
struct NoAnswer;

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed without an answer")
    }
}

impl std::error::Error for NoAnswer {}

type Answer = Result<Response<Full<Bytes>>, NoAnswer>;

impl Server {
    pub(crate) fn new(world: Arc<World>, h1_only: bool, h2_only: bool) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1().max_buf_size(READ_BUFFER_BYTES);
        http.http2()
            .initial_stream_window_size(H2_STREAM_WINDOW)
            .initial_connection_window_size(H2_CONNECTION_WINDOW)
            .max_frame_size(128 << 10);
        if h1_only {
            http = http.http1_only();
        }
        if h2_only {
            http = http.http2_only();
        }
        Self { world, http, free_buffers: Mutex::default() }
    }

    /// Accepts until the runtime ends.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener, tls: Option<TlsAcceptor>) {
        loop {
            // An accept fails for want of file descriptors; the next one waits for a connection to close.
            let Ok((socket, _)) = listener.accept().await else {
                wait(std::time::Duration::from_millis(10)).await;
                continue;
            };
            // Without it an answer may wait for the client's delayed acknowledgement; a failure costs only that.
            let _ = socket.set_nodelay(true);
            spawn(Arc::clone(&self).connection(socket, tls.clone()));
        }
    }

    async fn connection(self: Arc<Self>, socket: TcpStream, tls: Option<TlsAcceptor>) {
        self.world.connection_opened();
        let _open = OpenConnection(Arc::clone(&self.world));
        match tls {
            None => self.serve(socket).await,
            Some(tls) => {
                // A failed handshake is the client's to report.
                if let Ok(stream) = tls.accept(BufReader::with_capacity(TLS_READ_BYTES, socket)).await {
                    self.serve(stream).await;
                }
            }
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self: &Arc<Self>, socket: S) {
        let service = service_fn(|request| Arc::clone(self).answer(request));
        // Clients that go away are not our concern.
        let _ = self.http.serve_connection(TokioIo::new(socket), service).await;
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let body = self.read_body(body).await?;
        let path = head.uri.path();
        if path.starts_with("/control") {
            let (status, value) = control::answer(&self.world, &head.method, path, &body.bytes);
            return Ok(respond(status, "application/json", Format::Json.write(&value)));
        }
        let format = Format::of(head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes));
        let target = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if let Err(refusal) = self.world.admit(body.bytes.len()) {
            return Ok(self.refuse(format, &refusal));
        }
        let operation = target.strip_prefix("Kinesis_20131202.").unwrap_or_default();
        let answered = match operation {
            "PutRecords" => return self.put_records(format, body).await,
            "ListShards" => match self.world.list_shards(format, &body.bytes) {
                Ok(None) => std::future::pending().await,
                Ok(Some(answer)) => Ok(format.write(&answer)),
                Err(refusal) => Err(refusal),
            },
            "DescribeStreamSummary" => {
                self.world.describe_stream_summary(format, &body.bytes).map(|answer| format.write(&answer))
            }
            _ => Err(Refusal::new("UnknownOperationException", format!("X-Amz-Target: {target:?}"))),
        };
        Ok(match answered {
            Ok(written) => respond(200, format.content_type(), written),
            Err(refusal) => self.refuse(format, &refusal),
        })
    }

    async fn put_records(self: Arc<Self>, format: Format, body: Body) -> Answer {
        let course = self.world.throw();
        match course.fate {
            Fate::Hang => {
                self.world.count_mishap(Mishap::Hung);
                std::future::pending().await
            }
            Fate::StoreLate(late) => {
                self.world.count_mishap(Mishap::Late);
                let server = Arc::clone(&self);
                // A task of its own: the client will have closed the connection by then.
                spawn(async move {
                    wait(late).await;
                    if let Err(refusal) = server.world.put_records(format, &body.bytes) {
                        server.world.count_refusal(&refusal);
                    }
                });
                std::future::pending().await
            }
            Fate::LoseAnswer | Fate::Answer => self.store_and_answer(format, body, course).await,
        }
    }

    async fn store_and_answer(&self, format: Format, body: Body, course: Course) -> Answer {
        wait(course.before).await;
        let stored = self.world.put_records(format, &body.bytes);
        drop(body);
        wait(course.after).await;
        if matches!(course.fate, Fate::LoseAnswer) {
            self.world.count_mishap(Mishap::LostAnswer);
            return Err(NoAnswer);
        }
        let mut answer = match stored {
            Ok(answer) => answer,
            Err(refusal) => return Ok(self.refuse(format, &refusal)),
        };
        if course.short_answer || course.wrong_content_type {
            self.world.count_mishap(Mishap::Spoilt);
        }
        if course.short_answer {
            answer.records.pop();
        }
        let content_type = if course.wrong_content_type { "text/html" } else { format.content_type() };
        Ok(respond(200, content_type, format.write(&answer)))
    }

    fn refuse(&self, format: Format, refusal: &Refusal) -> Response<Full<Bytes>> {
        self.world.count_refusal(refusal);
        let mut response = respond(refusal.status, format.content_type(), format.write(refusal));
        response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(refusal.code));
        response
    }

    async fn read_body(self: &Arc<Self>, mut incoming: Incoming) -> Result<Body, NoAnswer> {
        let free = self.free_buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut body = Body { bytes: free.unwrap_or_default(), server: Arc::clone(self) };
        let expected = usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX);
        body.bytes.reserve(expected.min(MAX_BODY_BYTES));
        while let Some(frame) = incoming.frame().await {
            let Ok(data) = frame.map_err(|_| NoAnswer)?.into_data() else { continue };
            if body.bytes.len() + data.len() > MAX_BODY_BYTES {
                return Err(NoAnswer);
            }
            body.bytes.extend_from_slice(&data);
        }
        Ok(body)
    }
}

/// A request's body; its buffer goes back to the server, as fresh ones of megabytes cost more in page faults than a copy.
struct Body {
    bytes: Vec<u8>,
    server: Arc<Server>,
}

impl Drop for Body {
    fn drop(&mut self) {
        let mut free = self.server.free_buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < MAX_FREE_BUFFERS {
            self.bytes.clear();
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

struct OpenConnection(Arc<World>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

/// Binds now, so that the port is known before anything is served.
pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<(TcpListener, u16)> {
    let listener = TcpListener::bind(address).await?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

#[expect(clippy::disallowed_methods, reason = "this file owns the sink's tasks")]
pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(task: F) {
    tokio::spawn(task);
}

fn respond(status: u16, content_type: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert("x-amzn-requestid", HeaderValue::from_static("00000000-0000-0000-0000-000000000000"));
    response
}
