//! The settings of metrics and statistics: how much is uploaded to CloudWatch, how finely divided, under which further dimensions.

use super::check::{any_text, host, namespace, region, url};
use super::key::{Field, Group};
use super::keys::{key, ours};
use super::value::Kind::{Count, OneOf, Secret, Text, Time};
use super::value::{Setting, Value, text};

pub(super) const GROUP: Group = Group {
    title: "Metrics and statistics",
    keys: &[
        key(
            "metrics_level",
            "MetricsLevel",
            OneOf(&["none", "summary", "detailed"]),
            Field::Uploads(|c| &mut c.metrics_level),
            "Which metrics are uploaded to CloudWatch, by a build with the feature `cloudwatch`. CloudWatch charges for each \
             metric and each of its dimensions. Whatever it is, all metrics can be asked for in the process. Nothing is \
             uploaded while `endpoint_url` is plain `http://` and no endpoint of CloudWatch is given: that is not AWS. (An endpoint \
             that only the environment names, `AWS_ENDPOINT_URL_KINESIS`, is not looked at.)",
        ),
        key(
            "metrics_granularity",
            "MetricsGranularity",
            OneOf(&["global", "stream", "shard"]),
            Field::Uploads(|c| &mut c.metrics_granularity),
            "How finely uploaded metrics are divided. Each step adds to the ones before: with `shard` each metric is uploaded for \
             the producer, each stream and each shard.",
        ),
        key(
            "metrics_namespace",
            "MetricsNamespace",
            Text(namespace),
            Field::Uploads(|c| &mut c.metrics_namespace),
            "The CloudWatch namespace of the metrics.",
        ),
        key(
            "metrics_upload_delay",
            "MetricsUploadDelay",
            Time(1, 60_000),
            Field::Uploads(|c| &mut c.metrics_upload_delay),
            "How often metrics are uploaded. Those left are uploaded on close, which may take until its time-out, or two seconds if that \
             is later.",
        ),
        ours(
            "metrics_dimensions",
            Text(dimensions),
            Field::Uploads(|c| &mut c.metrics_dimensions),
            "Further dimensions of uploaded metrics: `name=value` separated by commas, each perhaps with `:stream` or `:shard` \
             behind it. As with the KPL one without stands before the stream: metrics of the producer are then uploaded with and \
             without it, those of streams and shards only with it, under other dimensions than dashboards made before expect. \
             `:stream` and `:shard` keep what there was, and add the metrics of each stream or shard with it.",
        ),
        ours(
            "cloudwatch_region",
            Text(region),
            Field::Uploads(|c| &mut c.cloudwatch_region),
            "The region that metrics go to instead of the streams'.",
        ),
        ours(
            "cloudwatch_endpoint_url",
            Text(url),
            Field::Uploads(|c| &mut c.cloudwatch_endpoint_url),
            "CloudWatch's URL instead of the region's; `http://` is allowed and needs no certificate.",
        ),
        key(
            "cloudwatch_endpoint",
            "CloudwatchEndpoint",
            Text(host),
            Field::Uploads(|c| &mut c.cloudwatch_endpoint),
            "CloudWatch's host instead of the region's, always with TLS; the KPL's way to say `cloudwatch_endpoint_url`. Only one \
             of them may be set.",
        ),
        key(
            "cloudwatch_port",
            "CloudwatchPort",
            Count(1, 65535, "port"),
            Field::Uploads(|c| &mut c.cloudwatch_port),
            "The port of `cloudwatch_endpoint`.",
        ),
        ours(
            "cloudwatch_access_key_id",
            Text(any_text),
            Field::Uploads(|c| &mut c.cloudwatch_access_key_id),
            "The access key id of fixed credentials for CloudWatch. Unset: the same credentials as for the streams.",
        ),
        ours(
            "cloudwatch_secret_access_key",
            Secret,
            Field::Uploads(|c| &mut c.cloudwatch_secret_access_key),
            "The secret access key that goes with `cloudwatch_access_key_id`. It is never shown.",
        ),
        ours(
            "cloudwatch_session_token",
            Secret,
            Field::Uploads(|c| &mut c.cloudwatch_session_token),
            "The session token that goes with `cloudwatch_access_key_id` if that is a temporary one. It is never shown.",
        ),
        ours(
            "statistics_interval",
            Time(0, 86_400_000),
            Field::Producer(|c| &mut c.statistics_interval),
            "How often the callback for statistics is called (see STATISTICS.md); 0 is never. Each call takes a look at every \
             shard of every stream.",
        ),
    ],
};

/// Which metrics are uploaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MetricsLevel {
    /// None.
    None,
    /// Those that tell whether all is well.
    Summary,
    /// All.
    #[default]
    Detailed,
}

/// How finely uploaded metrics are divided. Each step adds to the ones before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MetricsGranularity {
    /// Not at all: the whole producer.
    Global,
    /// By stream.
    Stream,
    /// By stream and shard.
    #[default]
    Shard,
}

/// A dimension of the user's own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricsDimension {
    /// Its name: 1 to 255 characters, not beginning with `:`.
    pub name: String,
    /// Its value: 1 to 1,024 characters.
    pub value: String,
    /// Where it stands: after the metric's name, the stream's or the shard's. It divides what is divided that finely.
    pub granularity: MetricsGranularity,
}

const LEVELS: [(&str, MetricsLevel); 3] =
    [("none", MetricsLevel::None), ("summary", MetricsLevel::Summary), ("detailed", MetricsLevel::Detailed)];
const GRANULARITIES: [(&str, MetricsGranularity); 3] = [
    ("global", MetricsGranularity::Global),
    ("stream", MetricsGranularity::Stream),
    ("shard", MetricsGranularity::Shard),
];

macro_rules! word_setting {
    ($type:ty, $words:ident) => {
        impl Setting for $type {
            fn value(&self) -> Value {
                let word = $words.iter().find(|(_, value)| value == self);
                Value::Text(word.map_or("", |(word, _)| word).to_owned())
            }

            fn assign(&mut self, value: Value) {
                let text = text(value).unwrap_or_default();
                *self = $words.iter().find(|(word, _)| *word == text).map_or_else(Self::default, |(_, value)| *value);
            }
        }
    };
}
word_setting!(MetricsLevel, LEVELS);
word_setting!(MetricsGranularity, GRANULARITIES);

/// `name=value`, perhaps with `:stream` or `:shard` behind it, separated by commas.
pub(super) fn dimensions(text: &str) -> Result<(), &'static str> {
    parse(text).map(|_| ())
}

impl Setting for Vec<MetricsDimension> {
    fn value(&self) -> Value {
        if self.is_empty() {
            return Value::Unset;
        }
        let shown = self.iter().map(|dimension| {
            let word = GRANULARITIES.iter().find(|(_, granularity)| *granularity == dimension.granularity);
            let MetricsDimension { name, value, .. } = dimension;
            format!("{name}={value}:{}", word.map_or("global", |(word, _)| word))
        });
        Value::Text(shown.collect::<Vec<_>>().join(","))
    }

    fn assign(&mut self, value: Value) {
        *self = text(value).and_then(|text| parse(&text).ok()).unwrap_or_default();
    }
}

/// What CloudWatch allows in a datum, less the three of ours (CloudWatch API reference, MetricDatum).
const MAX_DIMENSIONS: usize = 27;

fn parse(text: &str) -> Result<Vec<MetricsDimension>, &'static str> {
    let dimensions: Vec<MetricsDimension> =
        text.split(',').map(|part| parse_one(part.trim())).collect::<Option<_>>().ok_or(
            "name=value, name=value:stream or name=value:shard, separated by commas, with names of 1 to 255 and values of 1 to \
             1024 printable ASCII characters, and no name twice",
        )?;
    let names: std::collections::BTreeSet<&str> = dimensions.iter().map(|dimension| dimension.name.as_str()).collect();
    if names.len() < dimensions.len() || ["StreamName", "ShardId", "ErrorCode"].iter().any(|name| names.contains(name))
    {
        return Err("names that come once and are not StreamName, ShardId or ErrorCode");
    }
    if dimensions.len() > MAX_DIMENSIONS {
        return Err("27 dimensions at most");
    }
    Ok(dimensions)
}

fn parse_one(text: &str) -> Option<MetricsDimension> {
    let (name, rest) = text.split_once('=')?;
    let granularity = |word: &str| GRANULARITIES.iter().find(|(other, _)| *other == word).map(|(_, value)| *value);
    let (value, granularity) = match rest.rsplit_once(':').and_then(|(value, word)| Some((value, granularity(word)?))) {
        Some(split) => split,
        None => (rest, MetricsGranularity::Global),
    };
    let is_ok = |text: &str, most: usize| {
        (1..=most).contains(&text.len())
            && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
            && text.bytes().any(|byte| byte != b' ')
    };
    let ok = is_ok(name, 255) && is_ok(value, 1024) && !name.starts_with(':');
    ok.then(|| MetricsDimension { name: name.to_owned(), value: value.to_owned(), granularity })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_read_as_they_are_shown() {
        let text = "Host=web-1:global,Team=a:b:stream,Cell=7:shard";
        let mut dimensions: Vec<MetricsDimension> = Vec::new();
        dimensions.assign(Value::Text("Host=web-1, Team=a:b:stream , Cell=7:shard".to_owned()));
        assert_eq!(dimensions.len(), 3);
        assert_eq!((dimensions[1].value.as_str(), dimensions[1].granularity), ("a:b", MetricsGranularity::Stream));
        assert_eq!(dimensions.value(), Value::Text(text.to_owned()));
        for bad in ["Host", "=1", "Host=", "Host=1,Host=2", "ShardId=1", ":a=1", "a=ä"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
