//! Levels, dimensions, values and sizes.

use super::*;
use crate::error::ErrorCode;
use crate::metrics::Reading;
use crate::record::ShardId;

fn set(count: u64, sum: f64, min: f64, max: f64) -> StatisticSet {
    let mut set = StatisticSet::of(0.0, 1);
    (set.count, set.sum, set.min, set.max) = (count, sum, min, max);
    set
}

fn reading(metric: Metric, code: Option<&str>, shard: Option<&str>, values: StatisticSet) -> Reading {
    Reading { metric, error_code: code.map(ErrorCode::new), shard: shard.map(ShardId::new), values }
}

fn unsent(readings: Vec<Reading>) -> Unsent {
    Unsent { readings, spreads: Vec::new() }
}

fn selection(settings: &[(&str, &str)]) -> Selection {
    let mut config = Config::new();
    settings.iter().for_each(|(key, value)| config.set(key, value).unwrap());
    Selection::new(&config)
}

/// Each datum as `Metric{Name=value,…}`.
fn names(data: &[Datum]) -> Vec<String> {
    let name = |datum: &Datum| {
        let dimensions: Vec<String> = datum.dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}{{{}}}", datum.metric, dimensions.join(","))
    };
    data.iter().map(name).collect()
}

/// Sum, count, smallest and largest of what the data say.
fn summed(data: &[Datum]) -> StatisticSet {
    let mut sum = StatisticSet::default();
    for datum in data {
        match &datum.values {
            Values::Set(set) => sum.merge(set),
            Values::Counted(values) => {
                values.iter().for_each(|(value, count)| sum.merge(&StatisticSet::of(*value, *count as u64)));
            }
        }
    }
    sum
}

fn one_of_each() -> Vec<(Arc<str>, Unsent)> {
    let one = StatisticSet::of(1.0, 1);
    let readings = vec![
        reading(Metric::UserRecordsPut, None, Some("s-1"), one),
        reading(Metric::RetriesPerRecord, None, Some("s-1"), one),
        reading(Metric::ErrorsByCode, Some("Slow"), Some("s-1"), one),
        reading(Metric::ErrorsByCode, Some("Down"), None, one),
    ];
    vec![("orders".into(), unsent(readings))]
}

#[test]
fn each_metric_is_told_for_the_producer_the_stream_and_the_shard() {
    let data = selection(&[("metrics_level", "summary")]).data(one_of_each());
    let expected = [
        "UserRecordsPut{}",
        "UserRecordsPut{StreamName=orders}",
        "UserRecordsPut{StreamName=orders,ShardId=s-1}",
        "ErrorsByCode{}",
        "ErrorsByCode{ErrorCode=Down}",
        "ErrorsByCode{ErrorCode=Down,StreamName=orders}",
        "ErrorsByCode{ErrorCode=Slow}",
        "ErrorsByCode{ErrorCode=Slow,StreamName=orders}",
        "ErrorsByCode{ErrorCode=Slow,StreamName=orders,ShardId=s-1}",
    ];
    assert_eq!(names(&data), expected);
    assert_eq!(summed(&data[3..4]), StatisticSet::of(1.0, 2), "both codes together");
    let detailed = selection(&[]).data(one_of_each());
    assert_eq!(detailed.len(), expected.len() + 3);
}

#[test]
fn granularity_cuts_off_streams_and_shards() {
    let count = |word| selection(&[("metrics_granularity", word)]).data(one_of_each()).len();
    assert_eq!((count("global"), count("stream"), count("shard")), (5, 9, 12));
}

#[test]
fn every_prefix_of_the_chain_of_dimensions_is_a_metric() {
    let dimensions = "Host=a,Cell=b,Team=c:stream,Tier=d:shard";
    let selection = selection(&[("metrics_dimensions", dimensions), ("metrics_level", "summary")]);
    let one = StatisticSet::of(1.0, 1);
    let readings = vec![reading(Metric::ErrorsByCode, Some("Slow"), Some("s-1"), one)];
    let data = selection.data(vec![("orders".into(), unsent(readings))]);
    assert_eq!(
        names(&data),
        [
            "ErrorsByCode{}",
            "ErrorsByCode{Host=a}",
            "ErrorsByCode{Host=a,Cell=b}",
            "ErrorsByCode{Host=a,Cell=b,ErrorCode=Slow}",
            "ErrorsByCode{Host=a,Cell=b,ErrorCode=Slow,StreamName=orders}",
            "ErrorsByCode{Host=a,Cell=b,ErrorCode=Slow,StreamName=orders,Team=c}",
            "ErrorsByCode{Host=a,Cell=b,ErrorCode=Slow,StreamName=orders,Team=c,ShardId=s-1}",
            "ErrorsByCode{Host=a,Cell=b,ErrorCode=Slow,StreamName=orders,Team=c,ShardId=s-1,Tier=d}",
        ]
    );
    assert!(data.iter().all(|datum| datum.values == Values::Counted([(1.0, 1.0)].into())));
}

#[test]
fn a_stream_has_one_name_however_it_was_opened() {
    let one = || unsent(vec![reading(Metric::UserRecordsPut, None, None, StatisticSet::of(1.0, 1))]);
    let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
    let data = selection(&[]).data(vec![("orders".into(), one()), (arn.into(), one())]);
    assert_eq!(names(&data), ["UserRecordsPut{}", "UserRecordsPut{StreamName=orders}"]);
    assert_eq!(summed(&data[1..]), StatisticSet::of(1.0, 2));
}

#[test]
fn ones_and_zeros_are_told_one_by_one_at_every_level() {
    let readings = vec![
        reading(Metric::UserRecordsPut, None, Some("s-1"), set(10, 9.0, 0.0, 1.0)),
        reading(Metric::BufferingTime, None, Some("s-1"), set(4, 2.0, 0.0, 1.0)),
    ];
    let data = selection(&[]).data(vec![("orders".into(), unsent(readings))]);
    let counted = Values::Counted([(0.0, 1.0), (1.0, 9.0)].into());
    assert!(data[..3].iter().all(|datum| datum.values == counted));
    // Times between 0 and 1 ms are not all one of both.
    assert!(data[3..].iter().all(|datum| datum.values == Values::Set(set(4, 2.0, 0.0, 1.0))));
}

#[test]
fn values_of_a_spread_add_up_to_the_exact_sum() {
    // Microseconds that were rounded up by a little, in two streams.
    let spread = |from: u64| (0..200).map(|n| (from + 997 * n, n + 1)).collect::<Vec<_>>();
    let stream = |name: &str, from: u64, sum: f64| {
        let values = set((1..=200).sum(), sum, from as f64 / 1e3, 200.0);
        let spreads = vec![(Metric::BufferingTime, spread(from))];
        (name.into(), Unsent { readings: vec![reading(Metric::BufferingTime, None, Some("s-1"), values)], spreads })
    };
    let data = selection(&[]).data(vec![stream("a", 100, 2_650_000.5), stream("b", 300, 2_651_000.0)]);
    let of = |stream: Option<&str>| -> Vec<Datum> {
        let is_it = |datum: &&Datum| match (&*datum.dimensions, stream) {
            ([], None) => true,
            ([(name, value)], Some(stream)) => &**name == "StreamName" && &**value == stream,
            _ => false,
        };
        data.iter().filter(is_it).cloned().collect()
    };
    for (stream, parts, count, sum) in
        [(Some("a"), 2, 20_100, 2_650_000.5), (Some("b"), 2, 20_100, 2_651_000.0), (None, 3, 40_200, 5_301_000.5)]
    {
        let told = of(stream);
        assert_eq!(told.len(), parts, "{stream:?}: 150 values each");
        assert!(told.iter().all(|datum| matches!(&datum.values, Values::Counted(values) if values.len() <= 150)));
        let summed = summed(&told);
        assert_eq!(summed.count, count);
        assert!((summed.sum - sum).abs() < 1e-6, "{stream:?}: {} is not {sum}", summed.sum);
    }
    let shards = data.iter().filter(|datum| datum.dimensions.len() == 2);
    assert!(shards.map(|datum| &datum.values).all(|values| matches!(values, Values::Set(_))));
}

#[test]
fn a_spread_that_does_not_fit_is_told_as_a_set() {
    let tell = |values: StatisticSet, spread: &[(u64, u64)]| {
        told(Metric::RequestTime, &values, Some(&spread.iter().copied().collect()))
    };
    let values = set(3, 0.5, 0.1, 0.2);
    assert_eq!(tell(values, &[(100, 2)]), [Values::Set(values)], "another number of values");
    assert_eq!(tell(values, &[(0, 3)]), [Values::Set(values)], "less than a microsecond each");
}

#[test]
fn nothing_is_told_that_cloudwatch_would_refuse() {
    for bad in [f64::NAN, f64::INFINITY, -1e300] {
        assert!(told(Metric::RequestTime, &set(2, bad, 0.0, 1.0), None).is_empty());
    }
    assert!(told(Metric::RequestTime, &StatisticSet::default(), None).is_empty());
}

fn datum(dimension: usize, values: Values) -> Datum {
    let dimensions = [("Host".into(), "\"".repeat(dimension).as_str().into())];
    Datum { metric: Metric::UserRecordsPut, dimensions: dimensions.into(), values }
}

#[test]
fn a_call_has_a_thousand_data_at_most() {
    let data = vec![datum(1, Values::Set(StatisticSet::of(1.0, 1))); 2500];
    assert_eq!(calls(data).iter().map(|call| call.len()).collect::<Vec<_>>(), [1000, 1000, 500]);
    assert!(calls(Vec::new()).is_empty());
}

#[test]
fn a_call_has_a_megabyte_at_most_and_nothing_is_lost() {
    let values: Arc<[(f64, f64)]> = (0..150).map(|n| (f64::from(n) / 7.0, 1e15 / 7.0)).collect();
    let data: Vec<Datum> = (0..600).map(|n| datum(1 + n, Values::Counted(Arc::clone(&values)))).collect();
    let calls = calls(data.clone());
    assert!(calls.len() > 2);
    for call in &calls {
        let body = crate::runtime::aws::cloudwatch::json_body("Namespace", call, std::time::Duration::ZERO);
        assert!(body.len() <= 1_000_000, "{} bytes", body.len());
        let guess: usize = call.iter().map(Datum::max_bytes).sum();
        assert!((body.len()..=2 * body.len()).contains(&guess), "{guess} for {} bytes", body.len());
    }
    assert_eq!(calls.iter().flat_map(|call| call.iter().cloned()).collect::<Vec<_>>(), data);
}
