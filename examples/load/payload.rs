//! The user records of the load: which sequence numbers a thread puts, and their partition keys and payloads, written into
//! buffers that are used again. Per user record nothing is allocated.

use kinesis_producer::UserRecord;

/// Producer id and sequence number.
pub(crate) const HEADER_BYTES: usize = 12;

const ID_BYTES: usize = 4;
const KEY_PREFIX: &str = "partition-key-";

/// The sequence numbers of one thread, in order. Sequence number `n` has partition key `n % keys`, and a partition key belongs
/// to one thread, so that the order within it is kept.
pub(crate) struct Numbers {
    records: u64,
    keys: u64,
    threads: u64,
    thread: u64,
    /// The sequence number of partition key 0 in this round through the keys.
    round: u64,
    key: u64,
}

impl Numbers {
    pub(crate) fn new(records: u64, keys: u64, threads: u64, thread: u64) -> Numbers {
        Numbers { records, keys, threads, thread, round: 0, key: thread }
    }

    /// The next sequence number and the number of its partition key.
    pub(crate) fn peek(&mut self) -> Option<(u64, u64)> {
        if self.key >= self.keys {
            // A thread beyond the number of keys has none.
            self.round = if self.thread < self.keys { self.round + self.keys } else { self.records };
            self.key = self.thread;
        }
        let sequence = self.round + self.key;
        (sequence < self.records).then_some((sequence, self.key))
    }

    fn advance(&mut self) {
        self.key += self.threads;
    }
}

/// The user records of one put.
pub(crate) struct Batch {
    size: usize,
    capacity: usize,
    len: usize,
    payloads: Vec<u8>,
    keys: String,
    /// Where each partition key ends.
    key_ends: Vec<usize>,
    writer: KeyWriter,
}

impl Batch {
    pub(crate) fn new(capacity: usize, size: usize, producer_id: u32) -> Batch {
        let mut payloads = b"0123456789abcdef".iter().copied().cycle().take(capacity * size).collect::<Vec<u8>>();
        for payload in payloads.chunks_exact_mut(size) {
            payload[..ID_BYTES].copy_from_slice(&producer_id.to_be_bytes());
        }
        Batch {
            size,
            capacity,
            len: 0,
            payloads,
            keys: String::new(),
            key_ends: Vec::with_capacity(capacity),
            writer: KeyWriter::new(),
        }
    }

    /// Takes the next user records of `numbers`, as many as it holds. Gives how many.
    pub(crate) fn fill(&mut self, numbers: &mut Numbers) -> usize {
        self.len = 0;
        self.keys.clear();
        self.key_ends.clear();
        for payload in self.payloads.chunks_exact_mut(self.size).take(self.capacity) {
            let Some((sequence, key)) = numbers.peek() else { break };
            numbers.advance();
            payload[ID_BYTES..HEADER_BYTES].copy_from_slice(&sequence.to_be_bytes());
            self.writer.write(key, &mut self.keys);
            self.key_ends.push(self.keys.len());
            self.len += 1;
        }
        self.len
    }

    /// The user records, in order.
    pub(crate) fn records(&self) -> impl ExactSizeIterator<Item = UserRecord<'_>> {
        let mut start = 0;
        let payloads = self.payloads.chunks_exact(self.size).take(self.len);
        payloads.zip(&self.key_ends).map(move |(payload, end)| {
            let key = &self.keys[start..*end];
            start = *end;
            UserRecord::new(key, payload)
        })
    }
}

/// Writes `partition-key-` and six digits or more. All but the last three digits seldom change and are kept.
struct KeyWriter {
    /// What the kept part is for.
    thousand: u64,
    kept: String,
    /// 000 to 999, one after the other.
    last_digits: String,
}

impl KeyWriter {
    fn new() -> KeyWriter {
        let last_digits = (0..1000).map(|number| format!("{number:03}")).collect();
        KeyWriter { thousand: u64::MAX, kept: String::new(), last_digits }
    }

    fn write(&mut self, key: u64, out: &mut String) {
        let (thousand, rest) = (key / 1000, (key % 1000) as usize);
        if thousand != self.thousand {
            self.thousand = thousand;
            self.kept = format!("{KEY_PREFIX}{thousand:03}");
        }
        out.push_str(&self.kept);
        out.push_str(&self.last_digits[3 * rest..3 * rest + 3]);
    }
}
