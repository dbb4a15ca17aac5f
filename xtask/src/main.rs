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
    /// Writes the generated pages anew: CONFIGURATION.md, METRICS.md, STATISTICS.md and its schema.
    Docs,
    /// Writes include/kinesis_producer.h anew from bindings/c.
    Header {
        /// Writes nothing, and fails if the header is not what it should be.
        #[arg(long)]
        verify: bool,
    },
    /// Builds the C library and installs headers, libraries, pkg-config file and CMake package under a prefix.
    Install(install::Install),
    /// Checks licences, advisories and sources of all dependencies. Needs cargo-deny.
    Deny,
    /// Feeds every decoder with invented bytes. Needs a nightly toolchain and cargo-fuzz.
    Fuzz {
        /// How long, for each of them.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Runs the simulation with more seeds than the tests do.
    Simulate {
        /// How many; 10,000 take half a minute on two cores.
        #[arg(long, default_value_t = 100_000)]
        seeds: u32,
    },
    /// Looks for undefined behaviour in MD5's lanes, the only `unsafe` of the crate. Needs a nightly toolchain with miri.
    Miri,
}

const TEST: &[Step<'_>] = &[
    Step::cargo("include/kinesis_producer.h is up to date", &["xtask", "header", "--verify"]),
    // Benches are left to clippy, which compiles them: their harnesses do not know tests.
    Step::cargo(
        "tests and examples",
        &["test", "--workspace", "--all-features", "--lib", "--bins", "--tests", "--examples"],
    ),
    Step::cargo("examples in the documentation", &["test", "--workspace", "--all-features", "--doc"]),
    Step { name: "Prometheus", program: "tests/prometheus/run", args: &[], env: &[], needs: &["python3"] },
    Step { name: "CloudWatch", program: "tests/cloudwatch/run", args: &[], env: &[], needs: &["python3"] },
    Step {
        needs: &["cc"],
        ..Step::cargo("the C library", &["xtask", "install", "--prefix", "target/abi", "--profile", "dev", "--local"])
    },
    Step { name: "C and C++", program: "tests/abi/run", args: &["target/abi"], env: &[], needs: &["gcc", "g++"] },
    Step { name: "Python", program: "bindings/python/run-tests", args: &[], env: &[], needs: &["python3"] },
];

const DOCS: &[Step<'_>] = &[Step {
    env: &[("WRITE_DOCS", "1")],
    ..Step::cargo("the generated pages", &["test", "--quiet", "--features", "schema", "--test", "pages"])
}];

const DENY: &[Step<'_>] = &[Step { needs: &["cargo-deny"], ..Step::cargo("dependencies", &["deny", "check"]) }];

/// The programs in `fuzz/`.
const FUZZ_TARGETS: [&str; 2] = ["deaggregate", "properties"];

fn fuzz(seconds: u32) -> ExitCode {
    let time = format!("-max_total_time={seconds}");
    // Only rustup can run another toolchain's cargo.
    let args = FUZZ_TARGETS.map(|target| ["run", "nightly", "cargo", "fuzz", "run", target, "--", time.as_str()]);
    let needs = &["rustup", steps::NIGHTLY, "cargo-fuzz"];
    let step = |(name, args)| Step { name, program: "rustup", args, env: &[], needs };
    let steps: Vec<Step<'_>> = FUZZ_TARGETS.into_iter().zip(args.iter().map(|args| &args[..])).map(step).collect();
    // Whoever asks for it does not want it skipped.
    steps::run(&steps, true)
}

fn simulate(seeds: u32) -> ExitCode {
    let seeds = seeds.to_string();
    let env = &[("SIM_SEEDS", seeds.as_str())];
    steps::run(&[Step { env, ..Step::cargo("simulation", &["test", "--profile", "checked", "--test", "sim"]) }], true)
}

const MIRI: &[Step<'_>] = &[Step {
    name: "MD5 in miri",
    program: "rustup",
    args: &["run", "nightly", "cargo", "miri", "test", "--lib", "md5::tests::every_length"],
    // It knows no wider lanes, and only those it is told of.
    env: &[("RUSTFLAGS", "-Ctarget-feature=+avx2"), ("CARGO_TARGET_DIR", "target/miri")],
    needs: &["rustup", steps::NIGHTLY],
}];

fn main() -> ExitCode {
    let skipping_fails = std::env::var("CI").is_ok_and(|value| value == "true");
    match Cli::parse().command {
        Command::Test => steps::run(TEST, skipping_fails),
        Command::Docs => steps::run(DOCS, skipping_fails),
        Command::Header { verify } => header::write(verify),
        Command::Install(install) => install.run(),
        Command::Deny => steps::run(DENY, true),
        Command::Fuzz { seconds } => fuzz(seconds),
        Command::Simulate { seeds } => simulate(seeds),
        Command::Miri => steps::run(MIRI, true),
    }
}
