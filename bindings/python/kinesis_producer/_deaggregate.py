"""Taking apart what lies in a stream: for consumers, and for tests of producers."""

from __future__ import annotations

from ctypes import byref, c_void_p, sizeof, string_at
from typing import NamedTuple, Optional, Union

from . import errors
from ._abi import DeaggregatedRecordStruct, lib
from ._columns import HashKey, hash_key_text
from ._config import c_text


class UserRecord(NamedTuple):
    """A user record as a consumer sees it."""

    partition_key: str
    data: bytes
    #: The writer's own hash key, a decimal number; None if it gave none.
    explicit_hash_key: Optional[str]
    #: Its place in the aggregate, as the KCL counts.
    sub_sequence_number: int
    #: Whether it comes from an aggregate; otherwise the Kinesis record itself is the user record.
    aggregated: bool


def deaggregate(
    data: Union[bytes, bytearray, memoryview],
    partition_key: str = "",
    *,
    explicit_hash_key: HashKey = None,
    strict: bool = False,
) -> list[UserRecord]:
    """The user records of a Kinesis record with this data and partition key.

    What is not a sound aggregate is one user record: itself. With `strict` it raises InvalidAggregate instead.
    """
    payload = data if type(data) is bytes else memoryview(data).tobytes()
    rows = c_void_p()
    if strict:
        errors.check(lib.kp_try_deaggregate(payload, len(payload), byref(rows)))
    else:
        key = partition_key.encode("utf-8", "surrogatepass")
        hash_key = c_text(hash_key_text(explicit_hash_key), "explicit_hash_key") if explicit_hash_key is not None else None
        errors.check(lib.kp_deaggregate(key, len(key), hash_key, payload, len(payload), byref(rows)))
    try:
        return [_user_record(rows.value, row) for row in range(lib.kp_deaggregated_len(rows))]
    finally:
        lib.kp_deaggregated_free(rows)


def _user_record(rows: Optional[int], row: int) -> UserRecord:
    found = DeaggregatedRecordStruct(sizeof(DeaggregatedRecordStruct))
    lib.kp_deaggregated_record(rows, row, byref(found))
    hash_key: Optional[bytes] = found.explicit_hash_key
    return UserRecord(
        string_at(found.partition_key, found.partition_key_len).decode(),
        string_at(found.data, found.data_len),
        hash_key.decode() if hash_key is not None else None,
        found.sub_sequence_number,
        bool(found.aggregated),
    )
