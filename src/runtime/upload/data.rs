//! From what was counted to CloudWatch's data: levels, dimensions and values as the KPL has them (metrics_manager.h), and calls of
//! the size that CloudWatch takes. Sizes are bytes of an uncompressed call, guessed from above.
//!
//! Averages are exact everywhere. Where it is known how values are spread, or where they are all alike or all 0 and 1, they go one
//! by one (`Values` and `Counts`), so that CloudWatch can tell percentiles; the rest goes as statistic sets.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::config::{Config, MetricsDimension, MetricsGranularity, MetricsLevel};
use crate::metrics::{Metric, MetricValues, StatisticSet, Unit, Unsent, levels};

/// CloudWatch API reference, PutMetricData: "no more than 1000 metrics per call".
const MAX_DATA: usize = 1000;
/// The same: "up to 150 unique values" in a datum.
const MAX_VALUES: usize = 150;
/// The same: "limited to 1 MB", of which the namespace and the frame take some.
const MAX_BYTES: usize = 990_000;
/// The same: values beyond ±2^360 are refused.
const MAX_VALUE: f64 = 2.348_542_582_773_833_4e108;

/// Name and value.
pub(crate) type Dimension = (Arc<str>, Arc<str>);

/// Values of one metric under one choice of dimensions. There may be several: CloudWatch adds them up.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Datum {
    pub(crate) metric: Metric,
    pub(crate) dimensions: Arc<[Dimension]>,
    pub(crate) values: Values,
}

/// How values are told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    /// Summed up.
    Set(StatisticSet),
    /// One by one, each with how often it came.
    Counted(Arc<[(f64, f64)]>),
}

/// The data of one call.
pub(crate) type Call = Arc<[Datum]>;

/// What is uploaded, and under which dimensions.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    level: MetricsLevel,
    granularity: MetricsGranularity,
    global: Vec<Dimension>,
    stream: Vec<Dimension>,
    shard: Vec<Dimension>,
}

/// How often which value came, by metric and stream; without a stream, in all of them.
type Spreads = HashMap<(Metric, Option<Arc<str>>), BTreeMap<u64, u64>>;

impl Selection {
    pub(super) fn new(config: &Config) -> Selection {
        let of = |granularity| {
            let ours = config.metrics_dimensions.iter().filter(|dimension| dimension.granularity == granularity);
            ours.map(|MetricsDimension { name, value, .. }| (name.as_str().into(), value.as_str().into())).collect()
        };
        Selection {
            level: config.metrics_level,
            granularity: config.metrics_granularity,
            global: of(MetricsGranularity::Global),
            stream: of(MetricsGranularity::Stream),
            shard: of(MetricsGranularity::Shard),
        }
    }

    /// The data of streams, given with their names or ARNs.
    pub(super) fn data(&self, streams: Vec<(Arc<str>, Unsent)>) -> Vec<Datum> {
        let mut spreads = Spreads::new();
        let (mut names, mut readings) = (Vec::new(), Vec::new());
        for (name, unsent) in streams {
            let name = short_name(&name);
            for (metric, values) in unsent.spreads {
                for of in [Some(&name), None] {
                    let sums = spreads.entry((metric, of.cloned())).or_default();
                    values.iter().for_each(|(value, count)| *sums.entry(*value).or_default() += count);
                }
            }
            names.push(name);
            readings.push(unsent.readings);
        }
        let sums = levels(names.iter().zip(readings));
        sums.iter().filter(|values| self.wants(values)).flat_map(|values| self.data_of(values, &spreads)).collect()
    }

    fn wants(&self, values: &MetricValues) -> bool {
        values.metric.level() <= self.level && granularity(values) <= self.granularity
    }

    fn data_of(&self, of: &MetricValues, spreads: &Spreads) -> Vec<Datum> {
        let whole = of.shard.is_none() && of.error_code.is_none();
        let spread = if whole { spreads.get(&(of.metric, of.stream.clone())) } else { None };
        let values = told(of.metric, &of.values, spread);
        let choices = self.choices(of);
        let with = |dimensions: Arc<[Dimension]>| {
            let datum = move |values: &Values| Datum {
                metric: of.metric,
                dimensions: Arc::clone(&dimensions),
                values: values.clone(),
            };
            values.iter().map(datum)
        };
        choices.into_iter().flat_map(with).collect()
    }

    /// The dimensions that these values have, and those plus each further one of the user's: every prefix of the KPL's chain that
    /// ends at or behind the last of its own dimensions.
    fn choices(&self, of: &MetricValues) -> Vec<Arc<[Dimension]>> {
        let mut chain: Vec<Dimension> = Vec::new();
        let mut shortest = 0;
        let mut add = |own: Option<Dimension>, further: &[Dimension]| {
            if own.is_some() {
                shortest = chain.len() + 1;
            }
            chain.extend(own);
            chain.extend_from_slice(further);
        };
        add(None, &self.global);
        if let Some(code) = &of.error_code {
            add(Some(("ErrorCode".into(), told_name(code.as_str()))), &[]);
        }
        if let Some(stream) = &of.stream {
            add(Some(("StreamName".into(), Arc::clone(stream))), &self.stream);
        }
        if let Some(shard) = &of.shard {
            add(Some(("ShardId".into(), told_name(shard.as_str()))), &self.shard);
        }
        (shortest..=chain.len()).filter_map(|len| chain.get(..len)).map(Arc::from).collect()
    }
}

/// What a service or a proxy called something, as CloudWatch takes it: one bad value would have the whole call refused. Values are
/// ASCII, 1 to 1,024 characters, not all blank (CloudWatch API reference, Dimension).
fn told_name(name: &str) -> Arc<str> {
    if name.trim().is_empty() {
        return "Unknown".into();
    }
    let told = name.chars().take(255).map(|letter| if matches!(letter, ' '..='~') { letter } else { '?' });
    told.collect::<String>().into()
}

/// Puts as many data into each call as it takes.
pub(super) fn calls(data: Vec<Datum>) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let (mut call, mut bytes) = (Vec::new(), 0);
    for datum in data {
        let size = datum.max_bytes();
        if call.len() == MAX_DATA || (bytes + size > MAX_BYTES && !call.is_empty()) {
            calls.push(std::mem::take(&mut call).into());
            bytes = 0;
        }
        bytes += size;
        call.push(datum);
    }
    if !call.is_empty() {
        calls.push(call.into());
    }
    calls
}

impl Datum {
    /// At least what it takes in JSON, the longer one of both encodings: a number has 25 characters, and text is escaped.
    fn max_bytes(&self) -> usize {
        let dimensions: usize = self.dimensions.iter().map(|(name, value)| 30 + 2 * (name.len() + value.len())).sum();
        let values = match &self.values {
            Values::Set(_) => 180,
            Values::Counted(values) => 30 + 50 * values.len(),
        };
        120 + self.metric.name().len() + dimensions + values
    }
}

fn granularity(values: &MetricValues) -> MetricsGranularity {
    match (&values.stream, &values.shard) {
        (_, Some(_)) => MetricsGranularity::Shard,
        (Some(_), None) => MetricsGranularity::Stream,
        (None, None) => MetricsGranularity::Global,
    }
}

/// A stream may be opened by name or by ARN; in CloudWatch it has its name.
fn short_name(name: &Arc<str>) -> Arc<str> {
    name.rsplit_once(":stream/").map_or_else(|| Arc::clone(name), |(_, short)| short.into())
}

/// The values, in parts that a datum takes; none that CloudWatch would refuse.
fn told(metric: Metric, set: &StatisticSet, spread: Option<&BTreeMap<u64, u64>>) -> Vec<Values> {
    let is_sound = |value: f64| value.is_finite() && value.abs() <= MAX_VALUE;
    if set.count == 0 || ![set.sum, set.min, set.max].into_iter().all(is_sound) {
        return Vec::new();
    }
    let exact = flags(metric, set).or_else(|| spread.and_then(|spread| scaled(set, spread)));
    let Some(values) = exact else { return vec![Values::Set(*set)] };
    values.chunks(MAX_VALUES).map(|part| Values::Counted(part.into())).collect()
}

/// The values of a set that tells them all.
fn flags(metric: Metric, set: &StatisticSet) -> Option<Vec<(f64, f64)>> {
    let count = set.count as f64;
    if set.min == set.max {
        return Some(vec![(set.min, count)]);
    }
    // Counts and bytes are whole numbers.
    let is_flag = metric.unit() != Unit::Milliseconds && (set.min, set.max) == (0.0, 1.0);
    (is_flag && set.sum.fract() == 0.0 && set.sum < count).then(|| vec![(0.0, count - set.sum), (1.0, set.sum)])
}

/// The values of a spread, whose unit may be another one, scaled so that their sum is the set's.
fn scaled(set: &StatisticSet, spread: &BTreeMap<u64, u64>) -> Option<Vec<(f64, f64)>> {
    let count: u64 = spread.values().sum();
    let sum: f64 = spread.iter().map(|(value, count)| *value as f64 * *count as f64).sum();
    if count != set.count || sum <= 0.0 || set.sum <= 0.0 {
        return None;
    }
    let scale = set.sum / sum;
    Some(spread.iter().map(|(value, count)| (*value as f64 * scale, *count as f64)).collect())
}

#[cfg(test)]
mod tests;
