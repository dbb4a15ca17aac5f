//! What the benches over real sockets share: the sink in a process of its own, and the load generator in another, so that the
//! figures are the client's alone.
#![allow(dead_code, reason = "each bench uses a part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use kinesis_producer::config::{Config, Credentials};
use serde_json::Value;

/// Builds the two programs; cargo does nothing if they are there.
pub(crate) fn build() {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--package", "kinesis-sink", "--package", "kinesis-producer"])
        .args(["--bin", "kinesis-sink", "--example", "load"])
        .status()
        .expect("cargo runs, since it started this");
    assert!(built.success(), "the sink and the load generator do not build");
}

/// Where this bench lies: target/release/deps.
fn release_folder() -> PathBuf {
    let own = std::env::current_exe().expect("a program knows its path");
    own.ancestors().nth(2).expect("target/release/deps/bench").to_owned()
}

/// A running sink.
pub(crate) struct Sink {
    child: Child,
    endpoint_url: String,
    ca_file: Option<String>,
    control_port: u64,
}

impl Sink {
    /// Starts a sink on a free port.
    pub(crate) fn start(arguments: &[&str]) -> Sink {
        let ca = std::env::temp_dir().join(format!("kinesis-sink-{}-{}.pem", std::process::id(), arguments.len()));
        let mut command = Command::new(release_folder().join("kinesis-sink"));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        if arguments.contains(&"--tls") {
            command.arg("--ca-out").arg(&ca);
        }
        let mut child = command.spawn().expect("the sink was built");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("it is piped"))
            .read_line(&mut line)
            .expect("the sink says where it is");
        let ready: Value = serde_json::from_str(&line).expect("the sink speaks JSON");
        Sink {
            child,
            endpoint_url: ready["endpoint_url"].as_str().expect("a URL").to_owned(),
            ca_file: ready["ca_file"].as_str().map(str::to_owned),
            control_port: ready["control_port"].as_u64().expect("a port"),
        }
    }

    /// Runs the load generator against it to its end; gives its JSON and whether every user record was stored.
    pub(crate) fn load(&self, arguments: &[&str]) -> (Value, bool) {
        let output =
            self.load_command(arguments).stdout(Stdio::piped()).output().expect("the load generator was built");
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().unwrap_or_default();
        let result = serde_json::from_str(last).unwrap_or_else(|_| panic!("no result from the load generator: {text}"));
        (result, output.status.success())
    }

    /// Settings of a producer in this process that talks to it.
    pub(crate) fn config(&self) -> Config {
        let credentials = Credentials::Static {
            access_key_id: "none".to_owned(),
            secret_access_key: "none".to_owned(),
            session_token: None,
        };
        let config = Config::new().region("us-east-1").credentials(credentials).endpoint_url(&self.endpoint_url);
        match &self.ca_file {
            Some(ca_file) => config.ca_cert_file(ca_file),
            None => config,
        }
    }

    /// The load generator, pointed at this sink.
    pub(crate) fn load_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(release_folder().join("examples").join("load"));
        command.args(["--endpoint-url", &self.endpoint_url]).args(arguments);
        if let Some(ca_file) = &self.ca_file {
            command.args(["--ca-file", ca_file]);
        }
        command
    }

    /// Asks the sink something, or tells it: `GET /control/statistics`, `POST /control/reshard`.
    pub(crate) fn control(&self, method: &str, path: &str, body: &str) -> Value {
        let mut socket = TcpStream::connect(("127.0.0.1", self.control_port as u16)).expect("the sink listens");
        let head = format!(
            "{method} /control/{path} HTTP/1.1\r\nhost: sink\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all((head + body).as_bytes()).expect("the sink reads");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("the sink answers");
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap_or_default()).unwrap_or(Value::Null)
    }

    /// Its statistics so far.
    pub(crate) fn statistics(&self) -> Value {
        self.control("GET", "statistics", "")
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It ends when its standard input does.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        if let Some(ca_file) = &self.ca_file {
            let _ = std::fs::remove_file(ca_file);
        }
    }
}
