//! The committed pages are what the tables of settings and metrics and the types of statistics say. With `WRITE_DOCS=1` (`cargo xtask docs`)
//! they are written instead of compared.

use std::path::Path;

#[test]
fn the_committed_settings_are_the_generated_ones() {
    write_or_compare("CONFIGURATION.md", &kinesis_producer::config::markdown());
}

#[test]
fn the_committed_metrics_are_the_generated_ones() {
    write_or_compare("METRICS.md", &kinesis_producer::metrics::markdown());
}

#[cfg(feature = "schema")]
#[test]
fn the_committed_statistics_and_their_schema_are_the_generated_ones() {
    write_or_compare("STATISTICS.md", &kinesis_producer::metrics::statistics_markdown());
    write_or_compare("statistics.schema.json", &kinesis_producer::metrics::statistics_schema());
}

fn write_or_compare(page: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(&path, generated).expect("the page is writable");
        return;
    }
    let committed = std::fs::read_to_string(&path).expect("the page is committed");
    let differs = committed.lines().zip(generated.lines()).find(|(committed, generated)| committed != generated);
    assert!(committed == generated, "`cargo xtask docs` writes {page} anew; first difference: {differs:?}");
}
