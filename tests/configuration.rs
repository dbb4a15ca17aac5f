//! `CONFIGURATION.md` is what the table of settings says. With `WRITE_DOCS=1` (`cargo xtask docs`) it is written instead of
//! compared.

use std::path::Path;

#[test]
fn the_committed_page_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONFIGURATION.md");
    let generated = kinesis_producer::config::markdown();
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(&path, generated).expect("the page is writable");
        return;
    }
    let committed = std::fs::read_to_string(&path).expect("the page is committed");
    let differs = committed.lines().zip(generated.lines()).find(|(committed, generated)| committed != generated);
    assert!(committed == generated, "`cargo xtask docs` writes it anew; first difference: {differs:?}");
}
