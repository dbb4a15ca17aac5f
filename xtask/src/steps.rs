//! Runs named commands one after the other and prints the time each took. The first failure ends the run; the last line says
//! what passed, what was skipped for want of a program, and what failed.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// A command with a name, run in the project's root.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) name: &'a str,
    /// `cargo` is the one that runs us.
    pub(crate) program: &'a str,
    pub(crate) args: &'a [&'a str],
    pub(crate) env: &'a [(&'a str, &'a str)],
    /// Programs, or [`NIGHTLY`], that may be missing on a developer's machine; the step is then skipped.
    pub(crate) needs: &'a [&'a str],
}

/// rustup's toolchain of this name.
pub(crate) const NIGHTLY: &str = "a nightly toolchain";

impl<'a> Step<'a> {
    /// A call of cargo, which needs nothing else.
    pub(crate) const fn cargo(name: &'a str, args: &'a [&'a str]) -> Step<'a> {
        Step { name, program: "cargo", args, env: &[], needs: &[] }
    }

    fn missing(&self) -> Vec<&'a str> {
        self.needs.iter().copied().filter(|need| !is_there(need)).collect()
    }

    fn run(&self) -> Result<(), String> {
        let program = match self.program {
            "cargo" => env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            other => other.into(),
        };
        let mut command = Command::new(program);
        command.args(self.args).envs(self.env.iter().copied()).current_dir(root());
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(status.to_string()),
            Err(error) => Err(format!("{} cannot be started: {error}", self.program)),
        }
    }
}

/// Runs `steps`; a step that lacks a program is skipped, which is a failure if `skipping_fails`.
#[expect(clippy::disallowed_methods, reason = "the duration of a step is for a person to read")]
pub(crate) fn run(steps: &[Step<'_>], skipping_fails: bool) -> ExitCode {
    let start = Instant::now();
    let mut passed = 0;
    let mut skipped = Vec::new();
    let mut failed = None;
    for step in steps {
        let missing = step.missing();
        if !missing.is_empty() {
            let what = format!("{} (needs {})", step.name, missing.join(", "));
            println!("== {what}: skipped");
            skipped.push(what);
            continue;
        }
        println!("== {}", step.name);
        let step_start = Instant::now();
        let result = step.run();
        let seconds = step_start.elapsed().as_secs_f64();
        match result {
            Ok(()) => println!("== {}: passed in {seconds:.1} s", step.name),
            Err(error) => {
                failed = Some(format!("{} ({error}) after {seconds:.1} s", step.name));
                break;
            }
        }
        passed += 1;
    }
    let (line, ok) = summary(passed, steps.len(), &skipped, failed.as_deref(), skipping_fails);
    println!("== {line}, {:.1} s in all", start.elapsed().as_secs_f64());
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The last line, and whether all is well.
fn summary(
    passed: usize,
    all: usize,
    skipped: &[String],
    failed: Option<&str>,
    skipping_fails: bool,
) -> (String, bool) {
    let ok = failed.is_none() && (skipped.is_empty() || !skipping_fails);
    let mut line = format!("{}: {passed} of {all} passed", if ok { "ok" } else { "FAILED" });
    if !skipped.is_empty() {
        line += &format!("; skipped: {}", skipped.join(", "));
    }
    if let Some(failed) = failed {
        line += &format!("; failed: {failed}");
    }
    (line, ok)
}

fn is_there(need: &str) -> bool {
    if need == NIGHTLY {
        let rustc = Command::new("rustup").args(["run", "nightly", "rustc", "--version"]).output();
        return rustc.is_ok_and(|output| output.status.success());
    }
    is_installed(need)
}

fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder: PathBuf| folder.join(program).is_file())
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the project's root")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_names_what_was_skipped_and_what_failed() {
        let skipped = ["C (needs gcc)".to_owned()];
        assert_eq!(summary(2, 2, &[], None, true), ("ok: 2 of 2 passed".to_owned(), true));
        assert_eq!(
            summary(1, 2, &skipped, None, false),
            ("ok: 1 of 2 passed; skipped: C (needs gcc)".to_owned(), true)
        );
        assert!(!summary(1, 2, &skipped, None, true).1);
        let (line, ok) = summary(1, 3, &[], Some("unit (exit status: 101)"), false);
        assert_eq!((line.as_str(), ok), ("FAILED: 1 of 3 passed; failed: unit (exit status: 101)", false));
    }

    #[test]
    fn programs_that_are_not_installed_are_missing() {
        let step = Step { needs: &["no-such-program"], ..Step::cargo("x", &[]) };
        assert_eq!(step.missing(), ["no-such-program"]);
    }
}
