//! The Kinesis API as far as the sink speaks it: requests read from, and answers written to, `x-amz-json-1.1` and
//! `x-amz-cbor-1.1`. Data and keys are borrowed from the body. A blob is base64 text in JSON and bytes in CBOR.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Visitor};
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

/// Which of the two encodings a request came in, and its answer leaves in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `application/x-amz-json-1.1`.
    Json,
    /// `application/x-amz-cbor-1.1`.
    Cbor,
}

impl Format {
    /// CBOR if the content type says so, JSON otherwise.
    #[must_use]
    pub(crate) fn of(content_type: Option<&[u8]>) -> Self {
        match content_type {
            Some(value) if value.starts_with(b"application/x-amz-cbor") => Self::Cbor,
            _ => Self::Json,
        }
    }

    /// The answer's header.
    #[must_use]
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.1",
            Self::Cbor => "application/x-amz-cbor-1.1",
        }
    }

    /// # Errors
    /// `SerializationException` with the reader's words.
    pub(crate) fn read<'a, T: Deserialize<'a>>(self, body: &'a [u8]) -> Result<T, Refusal> {
        let read = match self {
            Self::Json => serde_json::from_slice(body).map_err(|e| e.to_string()),
            Self::Cbor => minicbor_serde::from_slice(body).map_err(|e| e.to_string()),
        };
        read.map_err(|words| Refusal::new("SerializationException", words))
    }

    /// The body of an answer.
    ///
    /// # Panics
    /// Never for the types of this file.
    #[must_use]
    pub(crate) fn write<T: Serialize>(self, answer: &T) -> Vec<u8> {
        match self {
            Self::Json => serde_json::to_vec(answer).expect("answers have string keys only"),
            Self::Cbor => minicbor_serde::to_vec(answer).expect("writing to memory does not fail"),
        }
    }
}

/// A whole request refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub(crate) status: u16,
    /// The exception's name.
    pub(crate) code: &'static str,
    /// What was wrong.
    pub(crate) words: String,
}

impl Refusal {
    /// Refused with 400: the caller's mistake.
    pub(crate) fn new(code: &'static str, words: impl Into<String>) -> Self {
        Self { status: 400, code, words: words.into() }
    }

    /// Refused with 500: ours.
    pub(crate) fn internal_failure() -> Self {
        Self { status: 500, code: "InternalFailure", words: "the sink was told to fail".to_owned() }
    }
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("Refusal", 2)?;
        map.serialize_field("__type", self.code)?;
        map.serialize_field("message", &self.words)?;
        map.end()
    }
}

/// A `PutRecords` request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PutRecords<'a> {
    /// Name, or
    #[serde(borrow, default)]
    pub(crate) stream_name: Option<Text<'a>>,
    /// ARN.
    #[serde(borrow, default, rename = "StreamARN")]
    pub(crate) stream_arn: Option<Text<'a>>,
    /// The Kinesis records.
    #[serde(borrow)]
    pub(crate) records: Vec<Entry<'a>>,
}

/// One entry.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Entry<'a> {
    /// As in the body: base64 in JSON.
    #[serde(borrow)]
    pub(crate) data: Blob<'a>,
    /// 1 to 256 characters.
    #[serde(borrow)]
    pub(crate) partition_key: Text<'a>,
    /// A decimal `u128`.
    #[serde(borrow, default)]
    pub(crate) explicit_hash_key: Option<Text<'a>>,
}

/// Text borrowed from the body unless it holds escapes.
#[derive(Debug)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

/// Bytes borrowed from the body unless they were written with escapes.
#[derive(Debug)]
pub(crate) struct Blob<'a>(pub(crate) Cow<'a, [u8]>);

impl Blob<'_> {
    /// Bytes of data it stands for.
    #[must_use]
    pub(crate) fn decoded_len(&self, format: Format) -> usize {
        match format {
            Format::Cbor => self.0.len(),
            Format::Json => {
                let padding = self.0.iter().rev().take(2).filter(|&&byte| byte == b'=').count();
                (self.0.len() / 4 * 3).saturating_sub(padding)
            }
        }
    }

    /// The data itself.
    ///
    /// # Errors
    /// `SerializationException` if it is not base64.
    pub(crate) fn decoded(&self, format: Format) -> Result<Cow<'_, [u8]>, Refusal> {
        match format {
            Format::Cbor => Ok(Cow::Borrowed(&self.0)),
            Format::Json => match base64_simd::STANDARD.decode_to_vec(&self.0) {
                Ok(data) => Ok(Cow::Owned(data)),
                Err(error) => Err(Refusal::new("SerializationException", error.to_string())),
            },
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BlobVisitor;
        impl<'de> Visitor<'de> for BlobVisitor {
            type Value = Blob<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a blob")
            }
            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Blob(Cow::Borrowed(bytes)))
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Blob(Cow::Owned(bytes.to_owned())))
            }
        }
        deserializer.deserialize_bytes(BlobVisitor)
    }
}

/// What became of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Stored.
    Stored {
        /// Index of the shard.
        shard: u32,
        /// Its place in the stream.
        sequence: u64,
    },
    /// `ProvisionedThroughputExceededException`.
    Throttled {
        /// Index of the shard.
        shard: u32,
    },
    /// `InternalFailure`.
    Failed,
}

/// The answer to `PutRecords`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PutRecordsAnswer {
    /// Entries not stored.
    pub(crate) failed_record_count: u32,
    /// One for each entry, in their order.
    pub(crate) records: Vec<Outcome>,
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("Outcome", 2)?;
        match *self {
            Self::Stored { shard, sequence } => {
                map.serialize_field("SequenceNumber", &SequenceNumber(sequence))?;
                map.serialize_field("ShardId", &ShardId(shard))?;
            }
            Self::Throttled { shard } => {
                map.serialize_field("ErrorCode", "ProvisionedThroughputExceededException")?;
                map.serialize_field("ErrorMessage", &format!("Rate exceeded for shard {}.", ShardId(shard)))?;
            }
            Self::Failed => {
                map.serialize_field("ErrorCode", "InternalFailure")?;
                map.serialize_field("ErrorMessage", "Internal service failure.")?;
            }
        }
        map.end()
    }
}

/// `shardId-000000000007`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShardId(pub(crate) u32);

impl ShardId {
    /// The index of a shard id.
    pub(crate) fn parse(text: &str) -> Result<u32, Refusal> {
        let index = text.strip_prefix("shardId-").and_then(|digits| digits.parse().ok());
        index.ok_or_else(|| Refusal::new("InvalidArgumentException", format!("{text}: not a shard id")))
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shardId-{:012}", self.0)
    }
}

impl Serialize for ShardId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(padded(&mut [0; 20], "shardId-", u64::from(self.0)))
    }
}

/// 56 decimal digits, as long as the service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SequenceNumber(pub(crate) u64);

impl Serialize for SequenceNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(padded(&mut [0; 56], "496", self.0))
    }
}

/// A decimal `u128`, as a string.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal(pub(crate) u128);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// The prefix, zeros and the number; by hand because formatting made a third of the cost of a small entry.
fn padded<'a>(text: &'a mut [u8], prefix: &str, mut number: u64) -> &'a str {
    let (head, digits) = text.split_at_mut(prefix.len());
    head.copy_from_slice(prefix.as_bytes());
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    std::str::from_utf8(text).expect("digits and an ASCII prefix")
}

/// A `ListShards` request.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ListShards {
    pub(crate) stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: Option<String>,
    pub(crate) next_token: Option<String>,
    pub(crate) exclusive_start_shard_id: Option<String>,
    pub(crate) max_results: Option<u32>,
    pub(crate) shard_filter: Option<ShardFilter>,
}

/// Its filter.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ShardFilter {
    #[serde(rename = "Type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) shard_id: Option<String>,
}

/// A `DescribeStreamSummary` request.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct DescribeStreamSummary {
    pub(crate) stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: Option<String>,
}

/// The stream's name, from the name or the ARN.
pub(crate) fn stream_name<'a>(name: Option<&'a str>, arn: Option<&'a str>) -> Result<&'a str, Refusal> {
    let name = name.or_else(|| arn.and_then(|arn| arn.split_once(":stream/")).map(|(_, name)| name));
    match name {
        None | Some("") => Err(Refusal::new("InvalidArgumentException", "neither StreamName nor StreamARN is set")),
        Some(name) if name.starts_with("missing") => {
            Err(Refusal::new("ResourceNotFoundException", format!("Stream {name} under account 0 not found.")))
        }
        Some(name) => Ok(name),
    }
}

/// The `u128` an entry or a user record names as its explicit hash key.
pub(crate) fn hash_key(text: &str) -> Result<u128, Refusal> {
    if text.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(key) = text.parse()
    {
        return Ok(key);
    }
    Err(Refusal::new("InvalidArgumentException", format!("ExplicitHashKey {text}: not in 0..=2^128-1")))
}

#[cfg(test)]
mod tests;
