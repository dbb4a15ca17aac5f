//! What is missing or wrong before the first call: region, credentials, certificates, proxies.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use kinesis_producer::Stored;
use kinesis_producer::core::outcome::code;
use kinesis_producer::error::ErrorKind;
use kinesis_producer::runtime::aws::{AwsTransport, Proxy, TransportSettings};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::server::{Answer, Server};
use super::{put, record, settings};

/// Runs the ignored test of this name in a process of its own without any environment.
fn assert_passes_without_environment(test: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env_clear();
    let output = command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", "/nonexistent").output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && words.contains("1 passed"),
        "{words}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn without_a_region_the_error_says_where_to_set_one() {
    assert_passes_without_environment("setup::no_region");
}

#[tokio::test]
#[ignore = "run by its neighbour, without environment"]
async fn no_region() {
    let error = AwsTransport::new(TransportSettings::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRegion);
    assert!(error.to_string().contains("AWS_REGION"), "{error}");
    let loopback =
        TransportSettings { endpoint_url: Some("http://127.0.0.1:1".to_owned()), ..TransportSettings::default() };
    assert_eq!(AwsTransport::new(loopback).await.unwrap_err().kind(), ErrorKind::NoRegion);
}

#[test]
fn without_credentials_the_error_names_the_causes() {
    assert_passes_without_environment("setup::no_credentials");
}

#[tokio::test]
#[ignore = "run by its neighbour, without environment"]
async fn no_credentials() {
    use kinesis_producer::runtime::aws::Credentials;
    let region = Some("eu-west-1".to_owned());
    let settings = TransportSettings { region: region.clone(), ..TransportSettings::default() };
    let error = AwsTransport::new(settings).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoCredentials);
    assert!(error.to_string().contains("Ec2InstanceMetadata"), "{error}");
    let credentials = Credentials::Profile("payroll".to_owned());
    let error = AwsTransport::new(TransportSettings { region, credentials, ..TransportSettings::default() }).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoCredentials);
    assert!(error.to_string().contains("payroll"), "{error}");
}

/// A certificate authority of our own, and a server that it vouches for.
async fn tls_server() -> (String, Server) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    (pem, Server::start_with(Some(tls), |_, _| Answer::stored_cbor()).await)
}

/// A directory of this test, emptied.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _absent = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[tokio::test]
async fn a_certificate_authority_of_ones_own_is_trusted_when_named() {
    let (pem, server) = tls_server().await;
    let directory = directory("authorities");
    let file = directory.join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    std::fs::write(directory.join("notes.txt"), "no certificate").unwrap();
    let endpoint_url = Some(format!("https://localhost:{}", server.address.port()));
    let plain = TransportSettings { endpoint_url, ..settings(&server) };
    let by_file = TransportSettings { ca_cert_file: Some(file), ..plain.clone() };
    let by_directory = TransportSettings { ca_cert_path: Some(directory), ..plain.clone() };
    for settings in [by_file, by_directory] {
        let transport = AwsTransport::new(settings).await.unwrap();
        put(&transport, "orders", &[record("a", 0, "x")]).await.unwrap();
    }

    let transport = AwsTransport::new(plain).await.unwrap();
    let failure = put(&transport, "orders", &[record("a", 0, "x")]).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.stored), (code::CONNECT, Stored::No), "{failure:?}");
    assert!(failure.message.contains("invalid peer certificate: UnknownIssuer"), "{failure:?}");
}

#[tokio::test]
async fn certificate_files_that_cannot_be_used_are_named() {
    let server = Server::start(|_, _| Answer::Hang).await;
    let directory = directory("bad-authorities");
    let broken = directory.join("broken.pem");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let empty = directory.join("empty.txt");
    std::fs::write(&empty, "").unwrap();
    let absent = directory.join("absent.pem");
    for (file, words) in [(&broken, "certificate"), (&empty, "no PEM certificate"), (&absent, "No such file")] {
        let settings = TransportSettings { ca_cert_file: Some(file.clone()), ..settings(&server) };
        let error = AwsTransport::new(settings).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        let text = error.to_string();
        assert!(
            text.contains("ca_cert_file") && text.contains(file.to_str().unwrap()) && text.contains(words),
            "{text}"
        );
    }
    let settings = TransportSettings { ca_cert_path: Some(absent), ..settings(&server) };
    let error = AwsTransport::new(settings).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Io && error.to_string().contains("ca_cert_path"), "{error}");
}

#[tokio::test]
async fn a_proxy_that_is_no_url_is_named() {
    let server = Server::start(|_, _| Answer::Hang).await;
    let proxy = Some(Proxy { url: "not a url".to_owned(), ..Proxy::default() });
    let error = AwsTransport::new(TransportSettings { proxy, ..settings(&server) }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("not a url"), "{error}");
}
