//! `STATISTICS.md` and `statistics.schema.json` are what the types say. With `WRITE_DOCS=1` (`cargo xtask docs`) they are written
//! instead of compared.

use std::path::Path;

#[test]
fn the_committed_page_and_schema_are_the_generated_ones() {
    let generated = [
        ("STATISTICS.md", kinesis_producer::metrics::markdown()),
        ("statistics.schema.json", kinesis_producer::metrics::schema()),
    ];
    for (name, generated) in generated {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        if std::env::var_os("WRITE_DOCS").is_some() {
            std::fs::write(&path, generated).expect("the page is writable");
            continue;
        }
        let committed = std::fs::read_to_string(&path).expect("the page is committed");
        let differs = committed.lines().zip(generated.lines()).find(|(committed, generated)| committed != generated);
        assert!(committed == generated, "{name}: `cargo xtask docs` writes it anew; first difference: {differs:?}");
    }
}
