//! The little of Protocol Buffers that the aggregate format needs: varints, tags, length-delimited fields. Writing is for our
//! aggregates; reading is as tolerant, and as strict, as the parser of Google's Java library, which the KCL uses.

/// AggregatedRecord.partition_key_table = 1, length-delimited.
pub(super) const PARTITION_KEY_TABLE: u8 = 0x0A;
/// AggregatedRecord.explicit_hash_key_table = 2, length-delimited.
pub(super) const EXPLICIT_HASH_KEY_TABLE: u8 = 0x12;
/// AggregatedRecord.records = 3, length-delimited.
pub(super) const RECORDS: u8 = 0x1A;
/// Record.partition_key_index = 1, varint.
pub(super) const PARTITION_KEY_INDEX: u8 = 0x08;
/// Record.explicit_hash_key_index = 2, varint.
pub(super) const EXPLICIT_HASH_KEY_INDEX: u8 = 0x10;
/// Record.data = 3, length-delimited.
pub(super) const DATA: u8 = 0x1A;
/// Record.tags = 4, length-delimited.
pub(super) const TAGS: u8 = 0x22;
/// Tag.key = 1, length-delimited.
pub(super) const TAG_KEY: u8 = 0x0A;
/// Tag.value = 2, length-delimited.
pub(super) const TAG_VALUE: u8 = 0x12;

/// Groups may nest this deep, sub-messages counted (the default of Google's libraries).
const MAX_DEPTH: usize = 100;

/// Bytes of `value` as a varint.
#[inline]
pub(super) const fn varint_len(value: u64) -> usize {
    // 9/64 of the significant bits, rounded up: the same as a division by 7 in this range.
    ((64 - (value | 1).leading_zeros()) as usize * 9 + 64) / 64
}

/// Appends a tag and a varint below 2^49.
///
/// All of it is stored as one word, and what is too much is cut off again: cheaper than a loop over bytes.
#[inline]
pub(super) fn put_field(buffer: &mut Vec<u8>, tag: u8, value: u32) {
    let value = u64::from(value);
    let (varint, varint_len) = match value {
        0..0x80 => (value, 1),
        0x80..0x4000 => ((value & 0x7F) | 0x80 | (value >> 7) << 8, 2),
        _ => wide_varint(value),
    };
    let len = buffer.len() + 1 + varint_len;
    buffer.extend_from_slice(&(varint << 8 | u64::from(tag)).to_le_bytes());
    buffer.truncate(len);
}

fn wide_varint(mut value: u64) -> (u64, usize) {
    let mut varint = 0;
    let mut len = 0;
    while value >= 0x80 {
        varint |= ((value & 0x7F) | 0x80) << (8 * len);
        value >>= 7;
        len += 1;
    }
    (varint | value << (8 * len), len + 1)
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// A group, or a number of fixed width: nothing in our messages.
    Skipped,
}

/// Reads fields from a message.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    Truncated,
    LongVarint,
    NegativeLength,
    ZeroFieldNumber,
    WireType(u8),
    StrayEndGroup,
    TooDeep,
}

impl Malformed {
    pub(super) fn describe(self) -> &'static str {
        match self {
            Malformed::Truncated => "a field reaches beyond the end",
            Malformed::LongVarint => "a varint is longer than 10 bytes",
            Malformed::NegativeLength => "a length is 2 GiB or more",
            Malformed::ZeroFieldNumber => "a field has the number 0",
            Malformed::WireType(6) => "a field has the wire type 6",
            Malformed::WireType(_) => "a field has the wire type 7",
            Malformed::StrayEndGroup => "a group ends that did not begin",
            Malformed::TooDeep => "groups are nested more than 100 deep",
        }
    }
}

impl<'a> Reader<'a> {
    /// Reads the outermost message.
    pub(super) fn new(message: &'a [u8]) -> Reader<'a> {
        Reader { rest: message, depth: 0 }
    }

    /// Reads a message inside this one.
    pub(super) fn nested(&self, message: &'a [u8]) -> Reader<'a> {
        Reader { rest: message, depth: self.depth + 1 }
    }

    /// Bytes not yet read.
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next field as tag and value; `None` at the end. A known field of another wire type has another tag, and so is an
    /// unknown field.
    pub(super) fn next_field(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint32()?;
        if wire_type(tag) == END_GROUP {
            return Err(Malformed::StrayEndGroup);
        }
        self.value(tag, self.depth).map(|value| Some((tag, value)))
    }

    fn value(&mut self, tag: u32, depth: usize) -> Result<Value<'a>, Malformed> {
        if tag >> 3 == 0 {
            return Err(Malformed::ZeroFieldNumber);
        }
        match wire_type(tag) {
            0 => self.varint().map(Value::Varint),
            1 => self.take(8).map(|_| Value::Skipped),
            2 => {
                let len = i32::try_from(self.varint32()?).map_err(|_| Malformed::NegativeLength)?;
                self.take(usize::try_from(len).map_err(|_| Malformed::NegativeLength)?).map(Value::Bytes)
            }
            START_GROUP => self.skip_group(tag >> 3, depth + 1).map(|()| Value::Skipped),
            END_GROUP => Err(Malformed::StrayEndGroup),
            5 => self.take(4).map(|_| Value::Skipped),
            other => Err(Malformed::WireType(other)),
        }
    }

    fn skip_group(&mut self, number: u32, depth: usize) -> Result<(), Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed::TooDeep);
        }
        loop {
            let tag = self.varint32()?;
            if wire_type(tag) == END_GROUP {
                return if tag >> 3 == number { Ok(()) } else { Err(Malformed::StrayEndGroup) };
            }
            self.value(tag, depth)?;
        }
    }

    /// Tags and lengths: of longer varints the upper bits are dropped, as Google's library for Java does.
    fn varint32(&mut self) -> Result<u32, Malformed> {
        self.varint().map(|value| (value & u64::from(u32::MAX)) as u32)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(Malformed::Truncated)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed::LongVarint)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

const START_GROUP: u8 = 3;
const END_GROUP: u8 = 4;

fn wire_type(tag: u32) -> u8 {
    (tag & 7) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_the_length_that_is_computed_beforehand() {
        for bits in 0..32 {
            for value in [(1_u32 << bits) - 1, 1 << bits, u32::MAX >> bits] {
                let mut buffer = vec![0xEE];
                put_field(&mut buffer, 0x08, value);
                assert_eq!(buffer.len(), 2 + varint_len(value.into()), "{value}");
                let mut reader = Reader::new(&buffer[1..]);
                assert_eq!(reader.next_field(), Ok(Some((0x08, Value::Varint(value.into())))));
                assert_eq!(reader.next_field(), Ok(None));
            }
        }
        assert_eq!(varint_len(u64::MAX), 10);
    }

    #[test]
    fn each_way_of_being_malformed_has_its_name() {
        for (message, malformed) in [
            (&[0x0A, 2, 0][..], Malformed::Truncated),
            (&[0x09, 0, 0, 0, 0, 0, 0, 0], Malformed::Truncated),
            (&[0x08], Malformed::Truncated),
            (&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], Malformed::LongVarint),
            (&[0x0A, 255, 255, 255, 255, 15], Malformed::NegativeLength),
            (&[0x02, 0], Malformed::ZeroFieldNumber),
            (&[0x0E], Malformed::WireType(6)),
            (&[0x0F], Malformed::WireType(7)),
            (&[0x2C], Malformed::StrayEndGroup),
            (&[0x2B, 0x34], Malformed::StrayEndGroup),
            (&[0x2B], Malformed::Truncated),
            (&[0x2B; 101], Malformed::TooDeep),
        ] {
            assert_eq!(Reader::new(message).next_field(), Err(malformed), "{message:?}");
            assert!(!malformed.describe().is_empty());
        }
    }

    #[test]
    fn groups_are_skipped_with_all_they_hold() {
        let mut message = vec![0x2B; 100];
        message.extend([0x0A, 1, 9, 0x0D, 1, 2, 3, 4]);
        message.extend([0x2C; 100]);
        let mut reader = Reader::new(&message);
        assert_eq!(reader.next_field(), Ok(Some((0x2B, Value::Skipped))));
        assert_eq!(reader.next_field(), Ok(None));
    }
}
