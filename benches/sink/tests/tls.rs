//! The sink over TLS with either HTTP version, and requests as large as the service takes them.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kinesis_sink::{Options, Sink, Statistics};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const ENTRIES: usize = 100;
const ENTRY_BYTES: usize = 100_000;

fn request() -> Request<Full<Bytes>> {
    let mut body = b"\xA2\x6AStreamName\x66orders\x67Records\x98\x64".to_vec();
    for _ in 0..ENTRIES {
        body.extend_from_slice(b"\xA2\x6CPartitionKey\x61k\x64Data\x5A");
        body.extend_from_slice(&u32::try_from(ENTRY_BYTES).unwrap().to_be_bytes());
        body.resize(body.len() + ENTRY_BYTES, 7);
    }
    let request = Request::post("https://localhost/").header("content-type", "application/x-amz-cbor-1.1");
    let request = request.header("host", "localhost").header("x-amz-target", "Kinesis_20131202.PutRecords");
    request.body(Full::new(Bytes::from(body))).unwrap()
}

async fn put_records(sink: &Sink, alpn: &str) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(sink.ca_pem().unwrap().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let socket = TcpStream::connect(("127.0.0.1", sink.port())).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn.as_bytes()));
    let io = TokioIo::new(stream);
    if alpn == "h2" {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::select! {
            () = async { check(sender.send_request(request()).await.unwrap()).await } => {}
            ended = connection => panic!("the connection ended: {ended:?}"),
        }
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::select! {
            () = async { check(sender.send_request(request()).await.unwrap()).await } => {}
            ended = connection => panic!("the connection ended: {ended:?}"),
        }
    }
}

async fn check(response: hyper::Response<hyper::body::Incoming>) {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert_eq!(head.status, 200, "{body:?}");
    assert_eq!(head.headers["content-type"], "application/x-amz-cbor-1.1");
}

fn stored_over(alpn: &str, options: Options) -> Statistics {
    let sink = Sink::start(Options { tls: true, ..options }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(put_records(&sink, alpn));
    sink.stop()
}

#[test]
fn the_largest_requests_pass_over_http_1_and_2() {
    for alpn in ["http/1.1", "h2"] {
        let statistics = stored_over(alpn, Options::default());
        assert_eq!(statistics.stored, ENTRIES as u64, "{alpn}");
        assert_eq!(statistics.stored_bytes, (ENTRIES * (ENTRY_BYTES + 1)) as u64, "{alpn}");
    }
}

#[test]
fn either_version_can_be_the_only_one_and_threads_can_be_many() {
    assert_eq!(stored_over("h2", Options { h2_only: true, ..Options::default() }).stored, ENTRIES as u64);
    let options = Options { h1_only: true, threads: 2, ..Options::default() };
    assert_eq!(stored_over("http/1.1", options).stored, ENTRIES as u64);
}
