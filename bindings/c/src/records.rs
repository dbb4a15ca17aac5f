//! User records as C gives them: one by one in a struct that may grow, or many in columns.

use std::ffi::c_char;
use std::marker::PhantomData;

use producer::{HashKey, UserRecord};

use crate::error::{KP_ERR_INVALID_ARGUMENT, KP_ERR_INVALID_HASH_KEY, KP_ERR_INVALID_PARTITION_KEY};
use crate::guard::slice;

/// A user record to put, or one that comes back. Its bytes are copied before a put returns. Set it to zero, then struct_size to
/// sizeof(kp_user_record_t): fields of later versions then take their defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kp_user_record_t {
    /// sizeof(kp_user_record_t); in an array, also the distance from one to the next.
    pub struct_size: usize,
    /// 1 to 256 characters of UTF-8; it need not end with NUL.
    pub partition_key: *const c_char,
    /// Bytes of partition_key.
    pub partition_key_len: usize,
    /// The payload.
    pub data: *const u8,
    /// Bytes of data.
    pub data_len: usize,
    /// A decimal number from 0 to 2^128 - 1 that names the shard instead of the partition key; NULL for none. It need not end
    /// with NUL.
    pub explicit_hash_key: *const c_char,
    /// Bytes of explicit_hash_key.
    pub explicit_hash_key_len: usize,
}

impl kp_user_record_t {
    pub(crate) const EMPTY: kp_user_record_t = kp_user_record_t {
        struct_size: size_of::<kp_user_record_t>(),
        partition_key: std::ptr::null(),
        partition_key_len: 0,
        data: std::ptr::null(),
        data_len: 0,
        explicit_hash_key: std::ptr::null(),
        explicit_hash_key_len: 0,
    };

    /// Reads one that may be shorter (an older header) or longer (a newer one) than this.
    ///
    /// # Safety
    /// `struct_size` bytes can be read at `from`.
    #[inline]
    unsafe fn read(from: *const kp_user_record_t, struct_size: usize) -> kp_user_record_t {
        if struct_size >= size_of::<kp_user_record_t>() {
            // SAFETY: the caller's.
            return unsafe { from.read_unaligned() };
        }
        let mut record = kp_user_record_t::EMPTY;
        // SAFETY: the caller's, and no more is written than there is.
        unsafe { std::ptr::copy_nonoverlapping(from.cast::<u8>(), (&raw mut record).cast::<u8>(), struct_size) };
        record
    }

    /// Borrows what it points to.
    ///
    /// # Safety
    /// Its pointers can be read for as long as the result is used.
    #[inline]
    unsafe fn borrow<'a>(&self) -> Result<UserRecord<'a>, i32> {
        // SAFETY: the caller's.
        let (key, data) = unsafe {
            (slice(self.partition_key.cast::<u8>(), self.partition_key_len)?, slice(self.data, self.data_len)?)
        };
        let record = user_record(key, data)?;
        if self.explicit_hash_key.is_null() {
            return Ok(record);
        }
        // SAFETY: the caller's.
        let hash_key = unsafe { slice(self.explicit_hash_key.cast::<u8>(), self.explicit_hash_key_len)? };
        with_hash_key(record, hash_key)
    }
}

/// The first fields; a struct without them is none.
const LEAST_SIZE: usize = std::mem::offset_of!(kp_user_record_t, explicit_hash_key);

/// Reads the user record at `record`.
///
/// # Errors
/// What is wrong with it.
///
/// # Safety
/// It is NULL or a user record as the header describes it.
#[inline]
pub(crate) unsafe fn read_one<'a>(record: *const kp_user_record_t) -> Result<UserRecord<'a>, i32> {
    // SAFETY: the caller's; the size is the first field of every version.
    unsafe { kp_user_record_t::read(record, size_at(record)?).borrow() }
}

/// # Safety
/// As [`read_one`].
#[inline]
unsafe fn size_at(record: *const kp_user_record_t) -> Result<usize, i32> {
    if record.is_null() {
        return Err(KP_ERR_INVALID_ARGUMENT);
    }
    // SAFETY: the caller's; the size is the first field of every version.
    let size = unsafe { record.cast::<usize>().read_unaligned() };
    if size < LEAST_SIZE { Err(KP_ERR_INVALID_ARGUMENT) } else { Ok(size) }
}

/// The user records of an array or of columns, each with its number, up to the first that cannot be read.
pub(crate) struct Many<'a, S> {
    source: S,
    records: PhantomData<UserRecord<'a>>,
    opaques: *const u64,
    next: usize,
    len: usize,
    /// What is wrong with the one after the last.
    pub(crate) refused: Option<i32>,
}

/// Where user records are read from, in order.
pub(crate) trait Source<'a> {
    /// The user record at `index`; the ones before it were read.
    fn read(&mut self, index: usize) -> Result<UserRecord<'a>, i32>;
}

impl<'a, S: Source<'a>> Many<'a, S> {
    /// # Safety
    /// `opaques` is NULL (all are 0) or has `len` numbers.
    pub(crate) unsafe fn new(source: S, opaques: *const u64, len: usize) -> Many<'a, S> {
        Many { source, records: PhantomData, opaques, next: 0, len, refused: None }
    }
}

impl<'a, S: Source<'a>> Iterator for Many<'a, S> {
    type Item = (UserRecord<'a>, u64);

    #[inline]
    fn next(&mut self) -> Option<(UserRecord<'a>, u64)> {
        if self.next >= self.len || self.refused.is_some() {
            return None;
        }
        match self.source.read(self.next) {
            Ok(record) => {
                // SAFETY: the maker's: there is a number for each.
                let opaque = if self.opaques.is_null() { 0 } else { unsafe { *self.opaques.add(self.next) } };
                self.next += 1;
                Some((record, opaque))
            }
            Err(code) => {
                self.refused = Some(code);
                None
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len - self.next, Some(self.len - self.next))
    }
}

/// User records in an array of structs.
pub(crate) struct Array {
    first: *const kp_user_record_t,
    stride: usize,
}

impl Array {
    /// # Safety
    /// `first` is NULL or the first of `len` user records, all of one size; they live while they are used.
    pub(crate) unsafe fn new(first: *const kp_user_record_t, len: usize) -> Result<Array, i32> {
        // SAFETY: the caller's.
        let stride = if len == 0 { 0 } else { unsafe { size_at(first)? } };
        Ok(Array { first, stride })
    }
}

impl<'a> Source<'a> for Array {
    #[inline]
    fn read(&mut self, index: usize) -> Result<UserRecord<'a>, i32> {
        // SAFETY: the maker's.
        unsafe { kp_user_record_t::read(self.first.byte_add(index * self.stride), self.stride).borrow() }
    }
}

/// User records in columns: all keys in one buffer, all payloads in another.
pub(crate) struct Columns<'a> {
    keys: Column<'a>,
    data: Column<'a>,
    hash_keys: Option<Column<'a>>,
}

/// Pieces that stand one behind the other.
pub(crate) struct Column<'a> {
    next: *const u8,
    lens: &'a [u32],
}

impl<'a> Column<'a> {
    /// # Safety
    /// `lens` is NULL or has `len` numbers, and `bytes` as many bytes as they add up to; both live while they are used.
    pub(crate) unsafe fn new(bytes: *const u8, lens: *const u32, len: usize) -> Result<Column<'a>, i32> {
        // SAFETY: the caller's.
        Ok(Column { next: bytes, lens: unsafe { slice(lens, len)? } })
    }

    #[inline]
    fn read(&mut self, index: usize) -> Result<&'a [u8], i32> {
        let len = self.lens.get(index).copied().ok_or(KP_ERR_INVALID_ARGUMENT)? as usize;
        // SAFETY: the maker's.
        let piece = unsafe { slice(self.next, len)? };
        self.next = self.next.wrapping_add(len);
        Ok(piece)
    }
}

impl<'a> Columns<'a> {
    pub(crate) fn new(keys: Column<'a>, data: Column<'a>, hash_keys: Option<Column<'a>>) -> Columns<'a> {
        Columns { keys, data, hash_keys }
    }
}

impl<'a> Source<'a> for Columns<'a> {
    #[inline]
    fn read(&mut self, index: usize) -> Result<UserRecord<'a>, i32> {
        let (key, data) = (self.keys.read(index)?, self.data.read(index)?);
        let record = user_record(key, data)?;
        match &mut self.hash_keys {
            None => Ok(record),
            Some(hash_keys) => match hash_keys.read(index)? {
                [] => Ok(record),
                hash_key => with_hash_key(record, hash_key),
            },
        }
    }
}

#[inline]
fn user_record<'a>(key: &'a [u8], data: &'a [u8]) -> Result<UserRecord<'a>, i32> {
    let key = std::str::from_utf8(key).map_err(|_| KP_ERR_INVALID_PARTITION_KEY)?;
    Ok(UserRecord::new(key, data))
}

fn with_hash_key<'a>(record: UserRecord<'a>, hash_key: &[u8]) -> Result<UserRecord<'a>, i32> {
    let hash_key = std::str::from_utf8(hash_key).ok().and_then(|text| text.parse::<HashKey>().ok());
    Ok(record.with_explicit_hash_key(hash_key.ok_or(KP_ERR_INVALID_HASH_KEY)?))
}
