//! A small HTTP/1.1 server whose every answer the test decides, over TCP or TLS.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A request as it came over the wire.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Which connection brought it, from 0.
    pub connection: usize,
    pub request_line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }
}

/// What becomes of a request.
#[derive(Clone)]
pub enum Answer {
    /// Status, content type, further headers (each with its line end), body.
    Reply(u16, &'static str, String, Vec<u8>),
    /// Nothing, for ever.
    Hang,
    /// The connection is reset before the body is read.
    ResetBeforeBody,
    /// The connection is closed after the request.
    CloseAfterRequest,
    /// The connection is closed in the middle of the answer.
    BreakOffHalfway,
}

impl Answer {
    pub fn json(status: u16, body: &str) -> Answer {
        Answer::Reply(status, "application/x-amz-json-1.1", String::new(), body.as_bytes().to_vec())
    }

    /// One entry stored.
    pub fn stored_json() -> Answer {
        Answer::json(
            200,
            r#"{"FailedRecordCount":0,"Records":[{"ShardId":"shardId-000000000000","SequenceNumber":"1"}]}"#,
        )
    }

    /// The same in CBOR.
    pub fn stored_cbor() -> Answer {
        let mut body = vec![0xA2, 0x71];
        body.extend(
            b"FailedRecordCount\x00\x67Records\x81\xA2\x67ShardId\x74shardId-000000000000\x6ESequenceNumber\x611",
        );
        Answer::Reply(200, "application/x-amz-cbor-1.1", String::new(), body)
    }
}

pub struct Server {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Answers the n-th request (from 0), of which it knows only the head yet, as `script` says.
    pub async fn start(script: impl Fn(usize, &Received) -> Answer + Send + Sync + 'static) -> Server {
        Server::start_with(None, script).await
    }

    pub async fn start_with(
        tls: Option<TlsAcceptor>,
        script: impl Fn(usize, &Received) -> Answer + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (log, script) = (Arc::clone(&received), Arc::new(script));
        tokio::spawn(async move {
            for connection in 0.. {
                let (socket, _) = listener.accept().await.unwrap();
                let (tls, log, script) = (tls.clone(), Arc::clone(&log), Arc::clone(&script));
                tokio::spawn(async move {
                    match tls {
                        None => serve(socket, connection, &log, &*script).await,
                        Some(tls) => match tls.accept(socket).await {
                            Ok(socket) => serve(socket, connection, &log, &*script).await,
                            Err(_refused_by_client) => {}
                        },
                    }
                });
            }
        });
        Server { address, received }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    log: &Mutex<Vec<Received>>,
    script: &(impl Fn(usize, &Received) -> Answer + ?Sized),
) {
    let mut buffer = Vec::new();
    while let Some(mut request) = read_head(&mut socket, &mut buffer).await {
        request.connection = connection;
        let number = {
            let mut log = log.lock().unwrap();
            log.push(request.clone());
            log.len() - 1
        };
        let answer = script(number, &request);
        if matches!(answer, Answer::ResetBeforeBody) {
            // Closing with unread bytes resets the connection.
            return;
        }
        let len = request.header("content-length").parse().unwrap_or(0);
        while buffer.len() < len {
            if socket.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        log.lock().unwrap()[number].body = buffer.drain(..len).collect();
        match answer {
            Answer::Reply(status, content_type, headers, body) => {
                let head = format!(
                    "HTTP/1.1 {status} Scripted\r\ncontent-type: {content_type}\r\n{headers}content-length: {}\r\n\r\n",
                    body.len()
                );
                socket.write_all(head.as_bytes()).await.unwrap();
                socket.write_all(&body).await.unwrap();
                socket.flush().await.unwrap();
            }
            Answer::Hang => std::future::pending().await,
            Answer::BreakOffHalfway => {
                socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"Rec").await.unwrap();
                return;
            }
            Answer::ResetBeforeBody | Answer::CloseAfterRequest => return,
        }
    }
}

async fn read_head(socket: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<Received> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if socket.read_buf(buffer).await.unwrap_or(0) == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer.drain(..end).collect()).unwrap();
    let mut lines = head.lines();
    let request_line = lines.next().unwrap_or_default().to_owned();
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(key, value)| (key.to_owned(), value.to_owned()));
    Some(Received { request_line, headers: headers.collect(), ..Received::default() })
}
