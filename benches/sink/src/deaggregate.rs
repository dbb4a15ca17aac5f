//! Takes an aggregate apart without copying: magic, protobuf, MD5. The protobuf's fields are those of the KPL's
//! `aggregation-format.md`; tags and unknown fields are passed over.

use std::ops::Range;

use md5::{Digest as _, Md5};

const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
const DIGEST_BYTES: usize = 16;

/// The parts of an aggregate, borrowed from it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Aggregate<'a> {
    pub(crate) partition_keys: Vec<&'a [u8]>,
    pub(crate) explicit_hash_keys: Vec<&'a [u8]>,
    pub(crate) user_records: Vec<Part<'a>>,
}

/// One user record; the indices point into the tables of its aggregate.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) partition_key: usize,
    pub(crate) explicit_hash_key: Option<usize>,
    pub(crate) data: &'a [u8],
}

/// Begins like an aggregate and is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// `None`: a plain user record.
pub(crate) fn deaggregate(data: &[u8]) -> Option<Result<Aggregate<'_>, Broken>> {
    let rest = data.strip_prefix(&MAGIC)?;
    Some(read_aggregate(rest))
}

fn read_aggregate(rest: &[u8]) -> Result<Aggregate<'_>, Broken> {
    let body_len = rest.len().checked_sub(DIGEST_BYTES).ok_or(Broken)?;
    let (body, digest) = rest.split_at(body_len);
    if Md5::digest(body).as_slice() != digest {
        return Err(Broken);
    }
    let mut aggregate = Aggregate::default();
    let mut reader = Reader(body);
    while let Some((field, value)) = reader.field()? {
        match (field, value) {
            (1, Value::Bytes(key)) => aggregate.partition_keys.push(key),
            (2, Value::Bytes(key)) => aggregate.explicit_hash_keys.push(key),
            (3, Value::Bytes(part)) => aggregate.user_records.push(read_part(part)?),
            _ => {}
        }
    }
    let keys = 0..aggregate.partition_keys.len();
    let hash_keys = 0..aggregate.explicit_hash_keys.len();
    let valid = |part: &Part<'_>| in_range(&keys, part.partition_key) && in_table(&hash_keys, part.explicit_hash_key);
    if aggregate.user_records.iter().all(valid) { Ok(aggregate) } else { Err(Broken) }
}

fn in_range(table: &Range<usize>, index: usize) -> bool {
    table.contains(&index)
}

fn in_table(table: &Range<usize>, index: Option<usize>) -> bool {
    index.is_none_or(|index| table.contains(&index))
}

fn read_part(bytes: &[u8]) -> Result<Part<'_>, Broken> {
    let mut part = Part::default();
    let mut reader = Reader(bytes);
    while let Some((field, value)) = reader.field()? {
        match (field, value) {
            (1, Value::Number(index)) => part.partition_key = usize::try_from(index).map_err(|_| Broken)?,
            (2, Value::Number(index)) => part.explicit_hash_key = Some(usize::try_from(index).map_err(|_| Broken)?),
            (3, Value::Bytes(data)) => part.data = data,
            _ => {}
        }
    }
    Ok(part)
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn field(&mut self) -> Result<Option<(u64, Value<'a>)>, Broken> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| Broken)?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(Broken),
        };
        Ok(Some((tag >> 3, value)))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Broken> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(Broken)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Broken)
    }
}

/// Writes aggregates for tests; the program never does.
#[cfg(test)]
pub(crate) fn write_aggregate(user_records: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    fn bytes(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
        out.push(field << 3 | 2);
        let mut len = bytes.len();
        while len >= 0x80 {
            out.push(u8::try_from(len & 0x7F).unwrap() | 0x80);
            len >>= 7;
        }
        out.push(u8::try_from(len).unwrap());
        out.extend_from_slice(bytes);
    }
    let mut body = Vec::new();
    user_records.iter().for_each(|(key, _, _)| bytes(1, key.as_bytes(), &mut body));
    let hash_keys: Vec<_> = user_records.iter().filter_map(|(_, hash_key, _)| *hash_key).collect();
    hash_keys.iter().for_each(|key| bytes(2, key.as_bytes(), &mut body));
    let mut hash_keys_used = 0;
    for (index, (_, hash_key, data)) in user_records.iter().enumerate() {
        let mut part = vec![0x08, u8::try_from(index).unwrap()];
        if hash_key.is_some() {
            part.extend([0x10, hash_keys_used]);
            hash_keys_used += 1;
        }
        bytes(3, data, &mut part);
        bytes(3, &part, &mut body);
    }
    let digest = Md5::digest(&body);
    [&MAGIC[..], &body, digest.as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let data = write_aggregate(&[("a", None, b"one"), ("b", Some("17"), b""), ("c", None, &[7; 300])]);
        let aggregate = deaggregate(&data).unwrap().unwrap();
        assert_eq!(aggregate.partition_keys, [b"a", b"b", b"c"]);
        assert_eq!(aggregate.explicit_hash_keys, [b"17"]);
        assert_eq!(aggregate.user_records[1], Part { partition_key: 1, explicit_hash_key: Some(0), data: b"" });
        assert_eq!(aggregate.user_records[2].data, [7; 300]);
    }

    #[test]
    fn an_aggregate_of_the_kpl_is_read() {
        let text = b"84mawgoBaxoJCAAaBWZpcnN0GgoIABoGc2Vjb25kYNW91Y448hVyWMqj5Lm+6A==";
        let data = base64_simd::STANDARD.decode_to_vec(text).unwrap();
        let aggregate = deaggregate(&data).unwrap().unwrap();
        assert_eq!(aggregate.partition_keys, [b"k"]);
        let payloads: Vec<_> = aggregate.user_records.iter().map(|part| part.data).collect();
        assert_eq!(payloads, [&b"first"[..], b"second"]);
    }

    #[test]
    fn plain_and_broken_data_are_told_apart() {
        assert_eq!(deaggregate(b"plain"), None);
        let mut data = write_aggregate(&[("a", None, b"one")]);
        data[8] ^= 1;
        assert_eq!(deaggregate(&data), Some(Err(Broken)));
        assert_eq!(deaggregate(&MAGIC), Some(Err(Broken)));
    }
}
