//! What the sink does wrong, and the dice that say when. Rates are shares from 0 to 1; each kind of request throws once.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Every fault; all off by default. A flag each, and a key each at `/control/faults`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Time between storing and answering.
    #[arg(long, default_value_t = 0)]
    pub latency_ms: u64,
    /// Up to so much time between a request's arrival and its storing, so that requests overtake each other.
    #[arg(long, default_value_t = 0)]
    pub latency_jitter_ms: u64,
    /// Throttle each shard to 1 MiB/s and 1000 records/s, with a burst of one second.
    #[arg(long)]
    pub enforce_limits: bool,
    /// Multiplies both limits.
    #[arg(long, default_value_t = 1.0)]
    pub throttle_rate_factor: f64,
    /// Requests of any operation answered with 500 InternalFailure, nothing stored.
    #[arg(long, default_value_t = 0.0)]
    pub error_500_rate: f64,
    /// All requests are answered with 500 InternalFailure.
    #[arg(long)]
    pub fail_all: bool,
    /// All requests are answered with 500 in this window, FROM..TO in ms since the start or since it was set.
    #[arg(long)]
    pub fail_for_ms: Option<Window>,
    /// Entries answered with InternalFailure, not stored.
    #[arg(long, default_value_t = 0.0)]
    pub entry_failure_rate: f64,
    /// PutRecords requests stored, then closed without an answer (HTTP/2: the stream is reset).
    #[arg(long, default_value_t = 0.0)]
    pub lose_answer_rate: f64,
    /// PutRecords requests that hang and are stored `store_late_ms` later, even if the client has gone.
    #[arg(long, default_value_t = 0.0)]
    pub store_late_rate: f64,
    /// How late such a request is stored.
    #[arg(long, default_value_t = 8000)]
    pub store_late_ms: u64,
    /// PutRecords requests that are neither stored nor ever answered.
    #[arg(long, default_value_t = 0.0)]
    pub hang_rate: f64,
    /// ListShards is never answered.
    #[arg(long)]
    pub list_shards_hang: bool,
    /// PutRecords requests stored whose answer has the content type text/html.
    #[arg(long, default_value_t = 0.0)]
    pub wrong_content_type_rate: f64,
    /// PutRecords requests stored whose answer lacks its last entry.
    #[arg(long, default_value_t = 0.0)]
    pub short_answer_rate: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            latency_jitter_ms: 0,
            enforce_limits: false,
            throttle_rate_factor: 1.0,
            error_500_rate: 0.0,
            fail_all: false,
            fail_for_ms: None,
            entry_failure_rate: 0.0,
            lose_answer_rate: 0.0,
            store_late_rate: 0.0,
            store_late_ms: 8000,
            hang_rate: 0.0,
            list_shards_hang: false,
            wrong_content_type_rate: 0.0,
            short_answer_rate: 0.0,
        }
    }
}

impl Faults {
    /// # Errors
    /// Names the first value out of range.
    pub fn validate(&self) -> Result<(), String> {
        let rates = [
            ("error_500_rate", self.error_500_rate),
            ("entry_failure_rate", self.entry_failure_rate),
            ("lose_answer_rate", self.lose_answer_rate),
            ("store_late_rate", self.store_late_rate),
            ("hang_rate", self.hang_rate),
            ("wrong_content_type_rate", self.wrong_content_type_rate),
            ("short_answer_rate", self.short_answer_rate),
        ];
        for (name, rate) in rates {
            if !(0.0..=1.0).contains(&rate) {
                return Err(format!("{name}: {rate} is not in 0..=1"));
            }
        }
        if !(self.throttle_rate_factor > 0.0 && self.throttle_rate_factor <= 1e6) {
            return Err(format!("throttle_rate_factor: {} is not above 0 and at most 1e6", self.throttle_rate_factor));
        }
        Ok(())
    }

    /// These faults with the keys of a JSON object changed.
    ///
    /// # Errors
    /// Names an unknown key, a wrong type or a value out of range.
    pub fn changed_by(&self, keys: serde_json::Map<String, serde_json::Value>) -> Result<Self, String> {
        let mut all = serde_json::to_value(self).map_err(|e| e.to_string())?;
        if let Some(object) = all.as_object_mut() {
            object.extend(keys);
        }
        let changed: Self = serde_json::from_value(all).map_err(|e| e.to_string())?;
        changed.validate()?;
        Ok(changed)
    }

    /// Whether every request fails, `since` the faults were set.
    #[must_use]
    pub fn fails_all(&self, since: Duration) -> bool {
        self.fail_all || self.fail_for_ms.is_some_and(|window| window.contains(since))
    }

    /// What becomes of one PutRecords request that is not answered with 500.
    pub(crate) fn throw(&self, dice: &mut fastrand::Rng) -> Course {
        let jitter = if self.latency_jitter_ms == 0 { 0 } else { dice.u64(0..=self.latency_jitter_ms * 1000) };
        let fate = if hit(dice, self.hang_rate) {
            Fate::Hang
        } else if hit(dice, self.store_late_rate) {
            Fate::StoreLate(Duration::from_millis(self.store_late_ms))
        } else if hit(dice, self.lose_answer_rate) {
            Fate::LoseAnswer
        } else {
            Fate::Answer
        };
        Course {
            before: Duration::from_micros(jitter),
            fate,
            after: Duration::from_millis(self.latency_ms),
            wrong_content_type: hit(dice, self.wrong_content_type_rate),
            short_answer: hit(dice, self.short_answer_rate),
        }
    }
}

/// A throw of the dice; costs nothing for a rate of zero.
pub(crate) fn hit(dice: &mut fastrand::Rng, rate: f64) -> bool {
    rate > 0.0 && dice.f64() < rate
}

/// The course of one PutRecords request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub(crate) before: Duration,
    pub(crate) fate: Fate,
    pub(crate) after: Duration,
    pub(crate) wrong_content_type: bool,
    pub(crate) short_answer: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Answer,
    LoseAnswer,
    Hang,
    StoreLate(Duration),
}

/// A span of time in milliseconds, end excluded: `FROM..TO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    /// Start, ms.
    pub from_ms: u64,
    /// End, ms.
    pub to_ms: u64,
}

impl Window {
    fn contains(self, time: Duration) -> bool {
        (u128::from(self.from_ms)..u128::from(self.to_ms)).contains(&time.as_millis())
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once("..").ok_or_else(|| format!("{text}: not of the form FROM..TO"))?;
        let number = |text: &str| text.parse::<u64>().map_err(|e| format!("{text}: {e}"));
        Ok(Self { from_ms: number(from)?, to_ms: number(to)? })
    }
}

impl TryFrom<String> for Window {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        format!("{}..{}", window.from_ms, window.to_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(json: serde_json::Value) -> Result<Faults, String> {
        Faults::default().changed_by(json.as_object().unwrap().clone())
    }

    #[test]
    fn a_change_keeps_the_other_keys() {
        let faults = changed(serde_json::json!({"latency_ms": 20, "fail_for_ms": "1000..2000"})).unwrap();
        assert_eq!(faults.latency_ms, 20);
        assert_eq!(faults.store_late_ms, 8000);
        assert!(!faults.fails_all(Duration::from_millis(999)));
        assert!(faults.fails_all(Duration::from_millis(1000)));
        assert!(!faults.fails_all(Duration::from_millis(2000)));
    }

    #[test]
    fn unknown_keys_and_rates_above_one_are_refused() {
        assert!(changed(serde_json::json!({"latency": 20})).unwrap_err().contains("latency"));
        let refusal = changed(serde_json::json!({"hang_rate": 1.5})).unwrap_err();
        assert_eq!(refusal, "hang_rate: 1.5 is not in 0..=1");
    }

    #[test]
    fn the_same_seed_throws_the_same() {
        let faults = Faults { lose_answer_rate: 0.5, ..Faults::default() };
        let throws = |seed| {
            let mut dice = fastrand::Rng::with_seed(seed);
            (0..64).map(|_| matches!(faults.throw(&mut dice).fate, Fate::LoseAnswer)).collect::<Vec<_>>()
        };
        assert_eq!(throws(7), throws(7));
        assert!(throws(7).contains(&true) && throws(7).contains(&false));
    }
}
