//! `include/kinesis_producer.h`, made from `bindings/c`.

use std::process::ExitCode;

use crate::steps::root;

/// Writes the header, or with `verify` only compares it.
pub(crate) fn write(verify: bool) -> ExitCode {
    let place = root().join("include/kinesis_producer.h");
    let crate_folder = root().join("bindings/c");
    let header = cbindgen::Config::from_file(crate_folder.join("cbindgen.toml"))
        .and_then(|config| cbindgen::generate_with_config(&crate_folder, config).map_err(|error| error.to_string()));
    let mut text = Vec::new();
    match header {
        Ok(header) => header.write(&mut text),
        Err(error) => {
            eprintln!("bindings/c: {error}");
            return ExitCode::FAILURE;
        }
    }
    if std::fs::read(&place).is_ok_and(|old| old == text) {
        return ExitCode::SUCCESS;
    }
    if verify {
        eprintln!("{} is not what bindings/c says: run `cargo xtask header`", place.display());
        return ExitCode::FAILURE;
    }
    match std::fs::write(&place, text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", place.display());
            ExitCode::FAILURE
        }
    }
}
