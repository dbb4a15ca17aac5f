//! A setting between its text and its field: how each kind of value is read, checked and shown. What the values mean is
//! `keys`'s; this file knows no key.

use std::path::PathBuf;
use std::time::Duration;

use super::{Ordering, WireFormat};

/// The upper end of ranges that have none: larger values saturate to it, as the KPL's `long` would.
pub(super) const NO_LIMIT: u64 = i64::MAX as u64;

const NANOS_PER_MILLI: u128 = 1_000_000;

/// Time units, in nanoseconds, from the largest.
const TIME_UNITS: &[(&str, u128)] = &[
    ("h", 3_600_000 * NANOS_PER_MILLI),
    ("m", 60_000 * NANOS_PER_MILLI),
    ("s", 1_000 * NANOS_PER_MILLI),
    ("ms", NANOS_PER_MILLI),
    ("us", 1_000),
    ("ns", 1),
];

/// Size units, in bytes, from the largest.
const SIZE_UNITS: &[(&str, u128)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("bytes", 1), ("B", 1)];

/// What a text must be, or what is expected instead.
pub(super) type Rule = fn(&str) -> Result<(), &'static str>;

/// How a setting is written, with the range that is allowed.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// `true` or `false`.
    Flag,
    /// From … to, in milliseconds.
    Time(u64, u64),
    /// From … to, in bytes.
    Size(u64, u64),
    /// From … to, of what.
    Count(u64, u64, &'static str),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Text that keeps a rule; empty is unset.
    Text(Rule),
    /// Text that is never shown; empty is unset.
    Secret,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Unset,
    Flag(bool),
    /// Nanoseconds, bytes or things.
    Number(u128),
    Text(String),
}

impl Kind {
    /// Reads a value and checks it; the error lacks the key.
    pub(super) fn parse(&self, text: &str) -> Result<Value, String> {
        // A password may begin or end with a blank.
        let text = if matches!(self, Kind::Secret) { text } else { text.trim() };
        let value = match self {
            Kind::Flag => match text.to_ascii_lowercase().as_str() {
                "true" => Value::Flag(true),
                "false" => Value::Flag(false),
                _ => return Err(format!("{text:?} is neither true nor false")),
            },
            Kind::Time(..) => self.parse_number(text, "ms", TIME_UNITS).ok_or_else(|| {
                format!("{text:?} is not a time: a number of ms, or with ns, us, ms, s, m or h, is expected")
            })?,
            Kind::Size(..) => self.parse_number(text, "bytes", SIZE_UNITS).ok_or_else(|| {
                format!("{text:?} is not a size: a number of bytes, or with KiB, MiB or GiB, is expected")
            })?,
            Kind::Count(..) => {
                self.parse_number(text, "", &[("", 1)]).ok_or_else(|| format!("{text:?} is not a number"))?
            }
            Kind::OneOf(words) => match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
                Some(word) => Value::Text((*word).to_owned()),
                None => return Err(format!("{text:?} is none of {}", words.join(", "))),
            },
            Kind::Text(_) | Kind::Secret if text.is_empty() => Value::Unset,
            Kind::Text(_) | Kind::Secret => Value::Text(text.to_owned()),
        };
        self.check(&value)?;
        Ok(value)
    }

    /// Checks a value; the error lacks the key.
    pub(super) fn check(&self, value: &Value) -> Result<(), String> {
        match (self, value) {
            (Kind::Time(..) | Kind::Size(..) | Kind::Count(..), Value::Number(number)) => {
                let (min, max) = self.bounds();
                if *number < min {
                    return Err(format!("{} is below {}", self.show(value), self.show(&Value::Number(min))));
                }
                if let Some(max) = max
                    && *number > max
                {
                    return Err(format!("{} is above {}", self.show(value), self.show(&Value::Number(max))));
                }
                Ok(())
            }
            (Kind::Text(rule), Value::Text(text)) => {
                rule(text).map_err(|expected| format!("{:?}: expected {expected}", without_password(text)))
            }
            (_, Value::Unset | Value::Flag(_) | Value::Number(_) | Value::Text(_)) => Ok(()),
        }
    }

    /// Shows a value as [`parse`](Kind::parse) reads it (a secret excepted).
    pub(super) fn show(&self, value: &Value) -> String {
        match (value, self) {
            (Value::Unset, _) => String::new(),
            (Value::Flag(flag), _) => flag.to_string(),
            (Value::Text(_), Kind::Secret) => "(secret)".to_owned(),
            (Value::Text(text), _) => without_password(text),
            // Without hours and minutes: `90 s` beside `60 s` reads better than beside `1 m`.
            (Value::Number(number), Kind::Time(..)) => show_number(*number, &TIME_UNITS[2..]),
            (Value::Number(number), Kind::Size(..)) => show_number(*number, SIZE_UNITS),
            (Value::Number(number), _) => number.to_string(),
        }
    }

    /// The range in words, for the documentation.
    pub(super) fn describe(&self) -> String {
        match self {
            Kind::Flag => "`true` or `false`".to_owned(),
            Kind::Time(..) => format!("time, {}", self.describe_range()),
            Kind::Size(..) => format!("size, {}", self.describe_range()),
            Kind::Count(_, _, unit) => format!("{unit}, {}", self.describe_range()),
            Kind::OneOf(words) => format!("`{}`", words.join("`, `")),
            Kind::Text(_) | Kind::Secret => "text".to_owned(),
        }
    }

    /// The smallest number allowed and the largest, if there is one, in nanoseconds, bytes or things.
    pub(super) fn bounds(&self) -> (u128, Option<u128>) {
        let limit = |max| (max != NO_LIMIT).then_some(u128::from(max));
        match *self {
            Kind::Time(min, max) => (u128::from(min) * NANOS_PER_MILLI, limit(max).map(|max| max * NANOS_PER_MILLI)),
            Kind::Size(min, max) | Kind::Count(min, max, _) => (min.into(), limit(max)),
            Kind::Flag | Kind::OneOf(_) | Kind::Text(_) | Kind::Secret => (0, None),
        }
    }

    fn describe_range(&self) -> String {
        let (min, max) = self.bounds();
        let min = self.show(&Value::Number(min));
        match max {
            Some(max) => format!("{min} to {}", self.show(&Value::Number(max))),
            None => format!("{min} or more"),
        }
    }

    /// Reads digits and a unit; `None` if it is something else. What is too large for any range saturates.
    fn parse_number(&self, text: &str, bare: &str, units: &[(&str, u128)]) -> Option<Value> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        if digits.is_empty() {
            return None;
        }
        let unit = if unit.is_empty() { bare } else { unit.trim_start() };
        let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
        let number = digits.parse().unwrap_or(u128::MAX).saturating_mul(*factor);
        let limit = if self.bounds().1.is_none() { u128::from(NO_LIMIT) } else { u128::MAX };
        let scale = if matches!(self, Kind::Time(..)) { NANOS_PER_MILLI } else { 1 };
        Some(Value::Number(number.min(limit.saturating_mul(scale))))
    }
}

/// In the largest unit that divides it; zero needs none.
fn show_number(number: u128, units: &[(&str, u128)]) -> String {
    match units.iter().find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{} {unit}", number / factor),
        None => number.to_string(),
    }
}

/// A URL's user and password stay out of messages and logs.
fn without_password(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://(secret)@{host}"),
        _ => text.to_owned(),
    }
}

/// A field that a key names.
pub(super) trait Setting {
    fn value(&self) -> Value;
    /// Takes a value of its own kind; `keys` pairs fields with kinds, and a test holds every pair.
    fn assign(&mut self, value: Value);
}

impl Setting for bool {
    fn value(&self) -> Value {
        Value::Flag(*self)
    }

    fn assign(&mut self, value: Value) {
        if let Value::Flag(flag) = value {
            *self = flag;
        }
    }
}

macro_rules! integer_setting {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            fn value(&self) -> Value {
                Value::Number(*self as u128)
            }

            fn assign(&mut self, value: Value) {
                if let Value::Number(number) = value {
                    *self = <$type>::try_from(number).unwrap_or(<$type>::MAX);
                }
            }
        }
    )*};
}
integer_setting!(u16, u64, usize);

impl Setting for Duration {
    fn value(&self) -> Value {
        Value::Number(self.as_nanos())
    }

    fn assign(&mut self, value: Value) {
        if let Value::Number(nanos) = value {
            let millis = u64::try_from(nanos / NANOS_PER_MILLI).unwrap_or(u64::MAX);
            let rest = u64::try_from(nanos % NANOS_PER_MILLI).unwrap_or(0);
            *self = Duration::from_millis(millis).saturating_add(Duration::from_nanos(rest));
        }
    }
}

impl Setting for Option<usize> {
    fn value(&self) -> Value {
        self.map_or(Value::Unset, |number| number.value())
    }

    fn assign(&mut self, value: Value) {
        let mut number = 0;
        *self = (value != Value::Unset).then(|| {
            number.assign(value);
            number
        });
    }
}

impl Setting for String {
    fn value(&self) -> Value {
        Value::Text(self.clone())
    }

    fn assign(&mut self, value: Value) {
        *self = text(value).unwrap_or_default();
    }
}

impl Setting for Option<String> {
    fn value(&self) -> Value {
        self.clone().map_or(Value::Unset, Value::Text)
    }

    fn assign(&mut self, value: Value) {
        *self = text(value);
    }
}

impl Setting for Option<PathBuf> {
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Unset, |path| Value::Text(path.to_string_lossy().into_owned()))
    }

    fn assign(&mut self, value: Value) {
        *self = text(value).map(PathBuf::from);
    }
}

impl Setting for Ordering {
    fn value(&self) -> Value {
        Value::Text(match self {
            Ordering::None => "none".to_owned(),
            Ordering::Shard => "shard".to_owned(),
        })
    }

    fn assign(&mut self, value: Value) {
        *self = if text(value).as_deref() == Some("shard") { Ordering::Shard } else { Ordering::None };
    }
}

impl Setting for WireFormat {
    fn value(&self) -> Value {
        Value::Text(match self {
            WireFormat::Cbor => "cbor".to_owned(),
            WireFormat::Json => "json".to_owned(),
        })
    }

    fn assign(&mut self, value: Value) {
        *self = if text(value).as_deref() == Some("json") { WireFormat::Json } else { WireFormat::Cbor };
    }
}

pub(super) fn text(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        Value::Unset | Value::Flag(_) | Value::Number(_) => None,
    }
}
