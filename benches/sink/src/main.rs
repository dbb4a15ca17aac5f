//! The program: starts a [`Sink`], prints where it listens as one JSON line, and its statistics as another when stdin
//! closes or SIGTERM or SIGINT arrives.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Parser;
use kinesis_sink::{Error, Options, Sink};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

/// A Kinesis-like sink for benches and fault tests.
#[derive(Debug, Parser)]
#[command(name = "kinesis-sink", version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Where to write the CA's certificate in PEM.
    #[arg(long, requires = "tls")]
    ca_out: Option<PathBuf>,
    /// Serve until a signal arrives, whatever becomes of stdin.
    #[arg(long)]
    no_stdin: bool,
}

fn main() -> Result<(), Error> {
    let Arguments { options, ca_out, no_stdin } = Arguments::parse();
    let sink = Sink::start(options)?;
    if let (Some(path), Some(pem)) = (&ca_out, sink.ca_pem()) {
        std::fs::write(path, pem).map_err(|error| format!("--ca-out {}: {error}", path.display()))?;
    }
    print_line(&json!({
        "port": sink.port(),
        "control_port": sink.control_port(),
        "endpoint_url": sink.endpoint_url(),
        "ca_file": ca_out,
    }))?;
    wait_for_the_end(no_stdin)?;
    print_line(&serde_json::to_value(sink.stop())?)
}

fn wait_for_the_end(no_stdin: bool) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
            () = stdin_closes(), if !no_stdin => {}
        }
        Ok::<_, Error>(())
    })?;
    // The thread that reads stdin cannot be interrupted; it ends with the process.
    runtime.shutdown_background();
    Ok(())
}

async fn stdin_closes() {
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 1024];
    while matches!(stdin.read(&mut ignored).await, Ok(1..)) {}
}

fn print_line(value: &serde_json::Value) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}
