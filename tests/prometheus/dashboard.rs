//! `dashboards/grafana.json`: it can be imported, and every query names only metrics and labels that exist.

use std::collections::BTreeSet;
use std::path::Path;

use kinesis_producer::metrics::{Kind, Series};
use serde_json::Value;

fn dashboard() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/grafana.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// All queries, those of variables included.
fn queries(dashboard: &Value) -> Vec<&str> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let definitions = variables.filter_map(|variable| variable["query"]["query"].as_str());
    targets.map(|target| target["expr"].as_str().unwrap()).chain(definitions).collect()
}

fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// The metrics of a query, each with the labels that it is asked by.
fn metrics(query: &str) -> Vec<(&str, Vec<&str>)> {
    let starts = query.match_indices("kinesis_producer_");
    starts
        .map(|(start, _)| {
            let text = &query[start..];
            let (name, rest) = text.split_at(text.find(|letter| !is_name(letter)).unwrap_or(text.len()));
            let selectors = rest.strip_prefix('{').map_or("", |rest| rest.split('}').next().unwrap());
            let labels = selectors.split(',').map(|selector| selector.trim().split(['=', '!']).next().unwrap());
            (name, labels.filter(|label| !label.is_empty()).collect())
        })
        .collect()
}

/// What a query groups by, or lists the values of.
fn groups(query: &str) -> Vec<&str> {
    let by = query.split(" by (").skip(1).map(|rest| rest.split(')').next().unwrap());
    let values = query.strip_prefix("label_values(").and_then(|rest| rest.trim_end_matches(')').split(',').nth(1));
    by.flat_map(|list| list.split(',')).chain(values).map(str::trim).collect()
}

/// The metric that a query means, and its labels.
fn find(name: &str) -> Option<(Series, BTreeSet<&'static str>)> {
    Series::all().find_map(|series| {
        let part = name.strip_prefix(&series.name)?;
        let exists = match series.kind {
            Kind::Counter | Kind::Gauge => part.is_empty(),
            Kind::Histogram => ["_bucket", "_sum", "_count"].contains(&part),
        };
        let labels = series.labels.iter().copied().chain((part == "_bucket").then_some("le")).collect();
        exists.then_some((series, labels))
    })
}

#[test]
fn queries_name_only_metrics_and_labels_that_exist_and_every_metric_is_shown() {
    let dashboard = dashboard();
    let mut shown = BTreeSet::new();
    for query in queries(&dashboard) {
        let metrics = metrics(query);
        assert!(!metrics.is_empty(), "{query} names a metric");
        for (name, asked) in metrics {
            let (series, labels) = find(name).unwrap_or_else(|| panic!("{name} does not exist: {query}"));
            for label in asked.into_iter().chain(groups(query)) {
                assert!(labels.contains(label), "{name} has no label {label}: {query}");
            }
            let rated = query.contains("rate(") || query.starts_with("label_values(");
            assert!(rated || series.kind == Kind::Gauge, "what only grows is shown as a rate: {query}");
            shown.insert(series.name);
        }
    }
    assert_eq!(shown, Series::all().map(|series| series.name).collect());
}

#[test]
fn panels_have_numbers_of_their_own_and_ask_the_source_that_is_chosen() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert!(variables.iter().any(|variable| variable["name"] == "datasource" && variable["query"] == "prometheus"));
    let panels = dashboard["panels"].as_array().unwrap();
    let numbers: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), panels.len());
    for target in panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten() {
        assert_eq!(target["datasource"]["uid"], "${datasource}");
        assert!(target["expr"].as_str().unwrap().contains("stream=~\"$stream\""), "{target}");
    }
}

#[test]
fn what_does_not_exist_is_found() {
    assert!(find("kinesis_producer_user_records_put").is_none());
    assert!(find("kinesis_producer_request_time_seconds").is_none());
    assert!(find("kinesis_producer_request_time_seconds_bucket").is_some());
    let query = "sum by (stream, shard) (rate(kinesis_producer_x_total{stream=~\"$stream\", shard!=\"\"}[5m]))";
    assert_eq!(metrics(query), [("kinesis_producer_x_total", vec!["stream", "shard"])]);
    assert_eq!(groups(query), ["stream", "shard"]);
    assert_eq!(groups("label_values(kinesis_producer_x_total, stream)"), ["stream"]);
}
