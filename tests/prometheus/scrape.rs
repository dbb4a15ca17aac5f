//! A scrape: what /metrics serves, read back.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The labels of a sample, with their values.
pub(crate) type Labels = BTreeMap<String, String>;

#[derive(Debug, Default)]
pub(crate) struct Scrape {
    /// The kind of each metric.
    pub(crate) types: BTreeMap<String, String>,
    pub(crate) help: BTreeMap<String, String>,
    pub(crate) samples: Vec<(String, Labels, f64)>,
}

impl Scrape {
    pub(crate) fn parse(text: &str) -> Scrape {
        let mut scrape = Scrape::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type has a name");
                assert_eq!(scrape.types.insert(name.to_owned(), kind.to_owned()), None, "{name} is there twice");
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, words) = rest.split_once(' ').expect("help has a name");
                scrape.help.insert(name.to_owned(), words.to_owned());
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                scrape.samples.push((name.to_owned(), parse_labels(labels), value.parse().expect("a number")));
            }
        }
        scrape
    }

    /// The sum of all samples of this name that have these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted = |found: &Labels| labels.iter().all(|(label, value)| found.get(*label).is_some_and(|v| v == value));
        let samples = self.samples.iter().filter(|(found, its_labels, _)| found == name && wanted(its_labels));
        samples.map(|(_, _, value)| value).sum()
    }
}

/// `a="x",b="y"}`; no value here holds a comma or a quotation mark.
fn parse_labels(text: &str) -> Labels {
    let inner = text.strip_suffix('}').expect("labels end");
    let pairs = inner.split(',').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (label, value) = pair.split_once('=').expect("a label has a value");
            (label.to_owned(), value.trim_matches('"').to_owned())
        })
        .collect()
}

/// The body of what is served at /metrics.
pub(crate) fn get(address: SocketAddr) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    write!(connection, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.to_lowercase().contains("content-type: text/plain"), "{head}");
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    body.to_owned()
}
