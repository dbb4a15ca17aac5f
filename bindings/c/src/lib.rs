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
pub mod producer;
pub mod records;
pub mod reports;
pub mod stream;
pub mod version;
