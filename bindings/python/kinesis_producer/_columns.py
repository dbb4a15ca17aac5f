"""User records for the library: one in a struct, a list of them in joined columns, so that a list costs one call."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from ctypes import byref, c_char_p, c_size_t, c_void_p, cast, sizeof
from typing import Any, Optional, Union

from ._abi import UserRecordStruct, lib
from ._core import KEY_WORD

#: A payload: anything with the buffer protocol; `bytes` are the cheapest.
Data = Union[bytes, bytearray, memoryview]
#: A decimal number from 0 to 2^128 - 1.
HashKey = Union[str, int, None]
#: (partition key, data) or (partition key, data, explicit hash key).
Record = Union[tuple[str, Data], tuple[str, Data, HashKey]]

_RECORD_SIZE = sizeof(UserRecordStruct)


def record_struct(partition_key: str, data: Data, explicit_hash_key: HashKey) -> UserRecordStruct:
    """One user record. It keeps what it points to."""
    # A lone surrogate goes through, for the library to refuse it as what it is: not UTF-8.
    key = partition_key.encode("utf-8", "surrogatepass")
    if type(data) is not bytes:
        data = memoryview(data).tobytes()
    if explicit_hash_key is None:
        return UserRecordStruct(_RECORD_SIZE, key, len(key), data, len(data), None, 0)
    hash_key = hash_key_text(explicit_hash_key).encode("utf-8", "surrogatepass")
    return UserRecordStruct(_RECORD_SIZE, key, len(key), data, len(data), hash_key, len(hash_key))


def hash_key_text(hash_key: HashKey) -> str:
    if isinstance(hash_key, str):
        return hash_key
    if isinstance(hash_key, int) and not isinstance(hash_key, bool):
        return str(hash_key)
    raise TypeError(f"explicit_hash_key: a str, an int or None is expected, not {type(hash_key).__name__}")


class Column:
    """Pieces, one behind the other, and the length of each."""

    __slots__ = ("_bytes", "_lens", "lens_at", "bytes_at")

    def __init__(self, joined: bytes, lens: array[int]) -> None:
        self._bytes, self._lens = joined, lens
        self.bytes_at: int = cast(c_char_p(joined), c_void_p).value or 0
        self.lens_at: int = lens.buffer_info()[0]

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> Column:
        joined = "".join(texts)
        if joined.isascii():
            return cls(joined.encode(), array("I", map(len, texts)))
        return cls.of_data([text.encode("utf-8", "surrogatepass") for text in texts])

    @classmethod
    def of_data(cls, data: Sequence[Data]) -> Column:
        joined = b"".join(data)
        lens = array("I", map(len, data))
        if sum(lens) != len(joined):
            # A memoryview counts its elements, which may be longer than a byte.
            lens = array("I", [memoryview(piece).nbytes for piece in data])
        return cls(joined, lens)

    def skip(self, start: int, count: int) -> None:
        """Leaves out `count` pieces from `start`, where it stands."""
        self.bytes_at += sum(self._lens[start : start + count])
        self.lens_at += self._lens.itemsize * count


class Columns:
    """User records in columns. What was accepted is left out of the next put."""

    def __init__(self, keys: Sequence[str], data: Sequence[Data], hash_keys: Optional[Sequence[HashKey]]) -> None:
        if len(keys) != len(data) or (hash_keys is not None and len(hash_keys) != len(keys)):
            lens = f"{len(keys)} partition keys, {len(data)} payloads"
            raise ValueError(lens + (f", {len(hash_keys)} explicit hash keys" if hash_keys is not None else ""))
        self.len = len(keys)
        self.accepted = 0
        self._keys, self._data = Column.of_texts(keys), Column.of_data(data)
        self._hash_keys: Optional[Column] = None
        if hash_keys is not None:
            # An empty text is the library's way to say none: a user's own empty text must not pass as that.
            texts = ["" if key is None else hash_key_text(key) or "empty" for key in hash_keys]
            self._hash_keys = Column.of_texts(texts)
        self._opaques: Optional[array[int]] = None
        self._opaques_at = 0

    @classmethod
    def of_records(cls, records: Iterable[Record]) -> Columns:
        rows: Any = records if isinstance(records, (list, tuple)) else list(records)
        try:
            # A third faster than what follows, and by far the most usual.
            return cls([key for key, _ in rows], [data for _, data in rows], None)
        except ValueError:
            padded = [row if len(row) == 3 else (*row, None) for row in rows]
            try:
                return cls([key for key, _, _ in padded], [data for _, data, _ in padded], [key for _, _, key in padded])
            except ValueError:
                message = "a user record is (partition key, data) or (partition key, data, explicit hash key)"
                raise ValueError(message) from None

    def number(self, list_key: int) -> None:
        """Gives them opaque numbers: the list's key above, their places below."""
        words = array("I", bytes(8 * self.len))
        words[KEY_WORD::2] = array("I", [list_key]) * self.len
        words[1 - KEY_WORD :: 2] = _places(self.len)
        self._opaques = words
        self._opaques_at = words.buffer_info()[0]

    def put(self, stream: int, timeout_ms: int) -> int:
        """Puts those that were not accepted yet; gives the status."""
        left = self.len - self.accepted
        hash_keys = self._hash_keys
        accepted = c_size_t()
        status = lib.kp_stream_put_columns(
            stream,
            left,
            self._keys.bytes_at,
            self._keys.lens_at,
            self._data.bytes_at,
            self._data.lens_at,
            hash_keys.bytes_at if hash_keys is not None else None,
            hash_keys.lens_at if hash_keys is not None else None,
            self._opaques_at or None,
            timeout_ms,
            byref(accepted),
        )
        count = accepted.value
        if 0 < count < left:
            for column in (self._keys, self._data, hash_keys):
                if column is not None:
                    column.skip(self.accepted, count)
            self._opaques_at += 8 * count if self._opaques_at else 0
        self.accepted += count
        return int(status)


_cached_places = array("I", range(4096))


def _places(count: int) -> array[int]:
    """0, 1, 2 …"""
    return _cached_places[:count] if count <= len(_cached_places) else array("I", range(count))
