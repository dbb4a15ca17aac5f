//! Settings from text: our own `key = value` lines, and the KPL's properties files (java.util.Properties). Both give lines of
//! key and value; all that is wrong in a text is found at once, and then nothing of it is kept.

use std::path::Path;

use super::{Config, check, into_result};
use crate::error::{Error, ErrorKind};

/// A key and its value, with the number of the line where it begins.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    line: usize,
    key: String,
    value: String,
}

type Entries = Vec<Result<Entry, String>>;

impl Config {
    /// The defaults and what `text` changes; see [`Config::load_text`].
    ///
    /// # Errors
    /// As [`Config::load_text`].
    pub fn from_text(text: &str) -> Result<Config, Error> {
        let mut config = Config::new();
        config.load_text(text)?;
        Ok(config)
    }

    /// Takes settings from lines `key = value`; empty lines and lines that begin with `#` are skipped. Keys and values are
    /// those of [`Config::set`].
    ///
    /// # Errors
    /// `InvalidConfig` naming all that is wrong, also in what was set before; nothing of the text is then kept.
    pub fn load_text(&mut self, text: &str) -> Result<(), Error> {
        self.load(lines(text), "")
    }

    /// The defaults and what a KPL properties file changes; see [`Config::load_properties_file`].
    ///
    /// # Errors
    /// As [`Config::load_properties_file`].
    pub fn from_properties_file(path: impl AsRef<Path>) -> Result<Config, Error> {
        let mut config = Config::new();
        config.load_properties_file(path)?;
        Ok(config)
    }

    /// Takes settings from a KPL properties file: `Key=value`, `Key: value` or `Key value`, comments with `#` and `!`,
    /// continued lines, `\uXXXX`. Our names are read as well. Bytes that are not UTF-8 are ISO 8859-1, as in Java.
    ///
    /// # Errors
    /// `Io` if the file cannot be read. `InvalidConfig` naming all that is wrong, also in what was set before; nothing of the
    /// file is then kept.
    pub fn load_properties_file(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| {
            let message = format!("{}: cannot be read: {error}", path.display());
            Error::new(ErrorKind::Io, message).with_source(error)
        })?;
        let text = String::from_utf8(bytes).unwrap_or_else(|e| e.as_bytes().iter().copied().map(char::from).collect());
        self.load(properties(&text), &format!("{}, ", path.display()))
    }

    /// Takes settings from the text of a KPL properties file; see [`Config::load_properties_file`].
    ///
    /// # Errors
    /// As [`Config::load_properties_file`], without `Io`.
    pub fn load_properties(&mut self, text: &str) -> Result<(), Error> {
        self.load(properties(text), "")
    }

    fn load(&mut self, entries: Entries, place: &str) -> Result<(), Error> {
        let mut config = self.clone();
        let mut problems = Vec::new();
        for entry in entries {
            let result = entry.and_then(|Entry { line, key, value }| {
                config.assign(&key, &value).map_err(|problem| format!("line {line}: {problem}"))
            });
            problems.extend(result.err().map(|problem| format!("{place}{problem}")));
        }
        problems.extend(check::problems(&config));
        into_result(problems)?;
        *self = config;
        Ok(())
    }
}

/// Reads `key = value` lines.
fn lines(text: &str) -> Entries {
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index + 1, line.trim());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        entries.push(match line.split_once('=') {
            Some((key, value)) => {
                Ok(Entry { line: number, key: key.trim().to_owned(), value: value.trim().to_owned() })
            }
            None => Err(format!("line {number}: {line:?}: key = value is expected")),
        });
    }
    entries
}

/// Reads a properties file by the rules of java.util.Properties.load.
fn properties(text: &str) -> Entries {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = text.split('\n').enumerate();
    let mut entries = Vec::new();
    while let Some((index, line)) = lines.next() {
        let line = line.trim_start_matches(BLANK);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = line.to_owned();
        while ends_open(&logical) {
            logical.pop();
            // At the end of the text a continuation continues with nothing.
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(BLANK));
        }
        entries.push(property(index + 1, &logical));
    }
    entries
}

/// What Java takes for white space in properties files.
const BLANK: [char; 3] = [' ', '\t', '\u{c}'];

/// Whether a line ends in an unescaped backslash.
fn ends_open(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Splits a logical line at the first unescaped `=`, `:` or white space.
fn property(line: usize, text: &str) -> Result<Entry, String> {
    let mut escaped = false;
    let end = text.find(|c: char| {
        let separates = !escaped && (matches!(c, '=' | ':') || BLANK.contains(&c));
        escaped = !escaped && c == '\\';
        separates
    });
    let (key, rest) = text.split_at(end.unwrap_or(text.len()));
    let rest = rest.trim_start_matches(BLANK);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(BLANK);
    let unescape = |text| unescape(text).map_err(|problem| format!("line {line}: {problem}"));
    Ok(Entry { line, key: unescape(key)?, value: unescape(value)? })
}

/// Resolves `\t`, `\n`, `\r`, `\f`, `\uXXXX` (UTF-16); before any other character a backslash is dropped.
fn unescape(text: &str) -> Result<String, String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    let push = |units: &mut Vec<u16>, c: char| units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    while let Some(c) = chars.next() {
        if c != '\\' {
            push(&mut units, c);
            continue;
        }
        match chars.next() {
            Some('t') => push(&mut units, '\t'),
            Some('n') => push(&mut units, '\n'),
            Some('r') => push(&mut units, '\r'),
            Some('f') => push(&mut units, '\u{c}'),
            Some('u') => {
                let (digits, rest) = chars.as_str().split_at_checked(4).unwrap_or(("", ""));
                let legal = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                let unit = legal.then(|| u16::from_str_radix(digits, 16).ok()).flatten();
                units.push(unit.ok_or_else(|| format!("{text:?}: four hexadecimal digits are expected after \\u"))?);
                chars = rest.chars();
            }
            Some(other) => push(&mut units, other),
            None => {}
        }
    }
    String::from_utf16(&units).map_err(|_| format!("{text:?} has half a surrogate pair"))
}
