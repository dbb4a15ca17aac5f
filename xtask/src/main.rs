//! The project's own commands, `cargo xtask …`: each is a list of named steps (`steps`).

mod header;
mod install;
mod steps;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use steps::Step;

/// The project's own commands.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs every test. Parts whose programs are not installed are skipped and named; with CI=true that is a failure.
    Test,
    /// Writes the generated pages anew: CONFIGURATION.md.
    Docs,
    /// Writes include/kinesis_producer.h anew from bindings/c.
    Header {
        /// Writes nothing, and fails if the header is not what it should be.
        #[arg(long)]
        verify: bool,
    },
    /// Builds the C library and installs headers, libraries, pkg-config file and CMake package under a prefix.
    Install(install::Install),
}

const TEST: &[Step] = &[
    Step::cargo("include/kinesis_producer.h is up to date", &["xtask", "header", "--verify"]),
    // Benches are left to clippy, which compiles them: their harnesses do not know tests.
    Step::cargo(
        "tests and examples",
        &["test", "--workspace", "--all-features", "--lib", "--bins", "--tests", "--examples"],
    ),
    Step::cargo("examples in the documentation", &["test", "--workspace", "--all-features", "--doc"]),
];

const DOCS: &[Step] = &[Step {
    env: &[("WRITE_DOCS", "1")],
    ..Step::cargo("CONFIGURATION.md", &["test", "--quiet", "--test", "configuration"])
}];

fn main() -> ExitCode {
    let skipping_fails = std::env::var("CI").is_ok_and(|value| value == "true");
    match Cli::parse().command {
        Command::Test => steps::run(TEST, skipping_fails),
        Command::Docs => steps::run(DOCS, skipping_fails),
        Command::Header { verify } => header::write(verify),
        Command::Install(install) => install.run(),
    }
}
