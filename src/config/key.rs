//! One setting of the table in `keys`: where its value lives, how it is found by name, read, checked and shown.

use std::sync::Arc;

use super::keys::GROUPS;
use super::value::{Kind, Setting, Value};
use super::{Config, Override, StreamConfig};

/// One setting.
pub(super) struct Key {
    /// Ours, and the one that messages use.
    pub(super) name: &'static str,
    /// The KPL's, if it has this setting.
    pub(super) kpl: Option<&'static str>,
    /// How it is written and what is allowed.
    pub(super) kind: Kind,
    /// Where it lives.
    pub(super) field: Field,
    /// What it does, and what raising or lowering it costs.
    pub(super) doc: &'static str,
}

type InProducer = fn(&mut Config) -> &mut dyn Setting;
type InStream = fn(&mut StreamConfig) -> &mut dyn Setting;

/// Where a setting lives, and so for what it can be set.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// In the producer's settings.
    Producer(InProducer),
    /// In each stream's settings.
    Stream(InStream),
    /// In the producer's settings; a stream can have a share of it.
    Shared(InProducer, InStream),
    /// In the producer's settings; only a build that uploads metrics reads it.
    Uploads(InProducer),
    /// In the producer's settings, checked; nothing reads it.
    WithoutEffect(InProducer),
    /// Nowhere: any text is accepted and forgotten.
    Nowhere,
}

/// Settings that are documented together.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) keys: &'static [Key],
}

/// Every key, in the order of the documentation.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    GROUPS.iter().flat_map(|group| group.keys)
}

/// The key of our name or the KPL's; the error suggests the nearest.
pub(super) fn find(name: &str) -> Result<&'static Key, String> {
    all().find(|key| key.name == name || key.kpl == Some(name)).ok_or_else(|| {
        let near = nearest(name).map(|key| format!("; did you mean {key}?")).unwrap_or_default();
        format!("{name}: unknown setting{near}")
    })
}

impl Key {
    /// Whether anything reads it.
    pub(super) fn has_effect(&self) -> bool {
        match self.field {
            Field::Producer(_) | Field::Stream(_) | Field::Shared(..) => true,
            Field::Uploads(_) => cfg!(feature = "cloudwatch"),
            Field::WithoutEffect(_) | Field::Nowhere => false,
        }
    }

    /// Whether a stream can have its own.
    pub(super) fn of_stream(&self) -> Option<InStream> {
        match self.field {
            Field::Stream(field) | Field::Shared(_, field) => Some(field),
            Field::Producer(_) | Field::Uploads(_) | Field::WithoutEffect(_) | Field::Nowhere => None,
        }
    }

    /// What `config` holds for it, for all streams if it is a stream's.
    pub(super) fn value(&self, config: &mut Config) -> Option<Value> {
        Some(match self.field {
            Field::Producer(field) | Field::Shared(field, _) | Field::Uploads(field) | Field::WithoutEffect(field) => {
                field(config).value()
            }
            Field::Stream(field) => field(&mut config.all_streams).value(),
            Field::Nowhere => return None,
        })
    }

    /// Reads and checks `text` and puts it into `config`; the error is a line that begins with the key.
    pub(super) fn assign(&self, config: &mut Config, text: &str) -> Result<(), String> {
        let value = self.parse(text)?;
        match self.field {
            Field::Producer(field) | Field::Shared(field, _) | Field::Uploads(field) | Field::WithoutEffect(field) => {
                field(config).assign(value)
            }
            Field::Stream(field) => field(&mut config.all_streams).assign(value),
            Field::Nowhere => {}
        }
        Ok(())
    }

    /// Reads and checks `text` and returns what puts it into a stream's settings.
    pub(super) fn stream_assignment(&self, text: &str) -> Result<Override, String> {
        let field = self.of_stream().ok_or_else(|| format!("{}: cannot be set for one stream", self.name))?;
        let value = self.parse(text)?;
        Ok(Arc::new(move |mut stream| {
            field(&mut stream).assign(value.clone());
            stream
        }))
    }

    /// What is wrong with the producer's value of it.
    pub(super) fn problem(&self, config: &mut Config) -> Option<String> {
        match self.field {
            Field::Producer(field) | Field::Shared(field, _) | Field::Uploads(field) | Field::WithoutEffect(field) => {
                self.check(&field(config).value())
            }
            Field::Stream(_) | Field::Nowhere => None,
        }
    }

    /// What is wrong with a stream's value of it.
    pub(super) fn stream_problem(&self, stream: &mut StreamConfig) -> Option<String> {
        self.of_stream().and_then(|field| self.check(&field(stream).value()))
    }

    fn parse(&self, text: &str) -> Result<Value, String> {
        self.kind.parse(text).map_err(|problem| format!("{}: {problem}", self.name))
    }

    fn check(&self, value: &Value) -> Option<String> {
        self.kind.check(value).err().map(|problem| format!("{}: {problem}", self.name))
    }
}

/// The known name that is written most like `name`, in the same style.
fn nearest(name: &str) -> Option<&'static str> {
    let plain = |name: &str| name.replace(['_', '-', '.'], "").to_ascii_lowercase();
    let wanted = plain(name);
    let names = all().flat_map(|key| [Some(key.name), key.kpl]).flatten();
    let in_style = names.filter(|known| known.starts_with(char::is_uppercase) == name.starts_with(char::is_uppercase));
    let (distance, nearest) = in_style.map(|known| (distance(&wanted, &plain(known)), known)).min()?;
    (distance <= 1 + wanted.len() / 4).then_some(nearest)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(&b) {
            let here = (diagonal + usize::from(a != *b)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
