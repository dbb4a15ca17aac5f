//! The C ABI of `kinesis-producer`, on the public API of the Rust library and nothing else. `include/kinesis_producer.h` is
//! generated from this crate (`cargo xtask header`), so names are spelt here as C sees them and documentation speaks to C
//! readers. One file for each C type; `guard` is what every function goes through.
//!
//! Functions have two shapes. Setup and control return `kp_error_t *`, NULL for success (`attempt`); what is called for user
//! records and reports returns a status or a plain value (`guard`).
#![allow(non_camel_case_types, reason = "types are named as in C")]
#![allow(clippy::missing_safety_doc, reason = "the documentation is C's: it names the caller's duties in C's words")]

pub mod callback;
pub mod config;
pub mod credentials;
pub mod deaggregate;
pub mod error;
mod guard;
#[cfg(feature = "local")]
pub mod local;
pub mod log;
pub mod metrics;
pub mod producer;
pub mod records;
pub mod reports;
pub mod statistics;
pub mod stream;
mod strings;
pub mod version;

#[cfg(test)]
mod tests {
    //! Reads the sources: cbindgen does not see functions made by a macro, so that nothing but a test can demand a guard of each.

    use std::path::Path;

    #[test]
    fn every_exported_function_is_one_call_of_a_guard() {
        let mut functions = 0;
        for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("the sources are here")
        {
            let file = file.expect("the sources are here").path();
            let source = std::fs::read_to_string(&file).expect("sources are text");
            // This file only speaks of them.
            for rest in source.split("\n#[unsafe(no_mangle)]\n").skip(1) {
                let (signature, body) = rest.split_once(" {\n").expect("a function has a body");
                let (body, _) = body.split_once("\n}\n").expect("a body ends");
                let guarded = ["guard(", "attempt("].iter().any(|call| body.trim_start().starts_with(call));
                let one_call = body.lines().skip(1).all(|line| line.starts_with("     ") || line.starts_with("    })"));
                assert!(guarded && (one_call || body.lines().count() == 1), "{}: {signature}", file.display());
                functions += 1;
            }
        }
        assert!(functions > 50, "{functions} functions were found");
    }
}
