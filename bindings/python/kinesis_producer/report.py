"""Reports: what became of user records. The library's columns are read when they are asked for, not before."""

from __future__ import annotations

import os
import threading
from ctypes import byref, sizeof, string_at
from enum import IntEnum
from typing import Any, Callable, NamedTuple, Optional

from . import _abi
from ._abi import lib


class Status(IntEnum):
    """What became of a user record."""

    STORED = 0
    EXPIRED = 1
    THROTTLED = 2
    WRONG_SHARD = 3
    SERVICE = 4
    COUNT_MISMATCH = 5
    ABORTED = 6
    #: A number that only a later version knows.
    OTHER = -1


class Stored(IntEnum):
    """Whether a user record is in the stream."""

    NO = 0
    #: An answer was lost: it is perhaps in the stream.
    POSSIBLY = 1
    YES = 2


class Attempt(NamedTuple):
    """One try of a user record. Times are seconds; the error is None if it was stored."""

    delay: float
    duration: float
    error_code: Optional[str]
    error_message: Optional[str]


class FailedRecord(NamedTuple):
    """A user record that comes back (`return_user_record_on_failure`)."""

    partition_key: str
    data: bytes
    explicit_hash_key: Optional[str]


class Reports:
    """A kp_reports_t: freed with the last Report that needs it, used by one thread at a time."""

    __slots__ = ("_lock", "_pid", "_pointer")

    def __init__(self, pointer: int) -> None:
        self._pointer = pointer
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def __len__(self) -> int:
        return int(lib.kp_reports_len(self._pointer))

    def opaques(self) -> bytes:
        """The column of u64, copied."""
        return string_at(lib.kp_reports_opaques(self._pointer), 8 * len(self))

    def statuses(self) -> bytes:
        """The column of i32, copied."""
        return string_at(lib.kp_reports_statuses(self._pointer), 4 * len(self))

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with self._lock:
            return function(self._pointer, *arguments)

    def __del__(
        self, free: Callable[[int], None] = lib.kp_reports_free, getpid: Callable[[], int] = os.getpid
    ) -> None:
        # In the child of a fork, another thread of the parent may have held what freeing needs.
        if getpid() == self._pid:
            free(self._pointer)


class Report:
    """The outcome of one user record. A failure is an outcome too: a future gives it as its result, not as an exception."""

    __slots__ = ("_number", "_reports", "_row")

    def __init__(self, reports: Reports, row: int, number: int) -> None:
        self._reports = reports
        self._row = row
        self._number = number

    @property
    def is_stored(self) -> bool:
        """Whether the user record is stored."""
        return self._number == 0

    @property
    def status(self) -> Status:
        """What became of it."""
        try:
            return Status(self._number)
        except ValueError:
            return Status.OTHER

    @property
    def stored(self) -> Stored:
        """Whether it is in the stream: yes, no, or possibly, where an answer was lost."""
        return Stored(self._reports.ask(lib.kp_reports_stored, self._row))

    @property
    def error_code(self) -> Optional[str]:
        """The service's code, or "Expired", "Aborted" …; None if it is stored."""
        return self._text(lib.kp_reports_error_code)

    @property
    def error_message(self) -> Optional[str]:
        """What failed last, in the service's words, also if a later attempt was stored; None if nothing did."""
        return self._text(lib.kp_reports_error_message)

    @property
    def shard_id(self) -> Optional[str]:
        """The shard that stored it."""
        return self._text(lib.kp_reports_shard_id)

    @property
    def sequence_number(self) -> Optional[str]:
        """The sequence number of the Kinesis record that holds it."""
        return self._text(lib.kp_reports_sequence_number)

    @property
    def sub_sequence_number(self) -> Optional[int]:
        """Its place in its aggregate, as the KCL counts; None if it was not stored, or stored alone."""
        number = int(self._reports.ask(lib.kp_reports_sub_sequence_number, self._row))
        return number if number >= 0 else None

    @property
    def latency(self) -> float:
        """Seconds from the put's return to the decision."""
        return float(self._reports.ask(lib.kp_reports_latency_us, self._row)) / 1e6

    @property
    def attempts_total(self) -> int:
        """How often it was tried, also beyond the attempts that are kept."""
        return int(self._reports.ask(lib.kp_reports_attempts_total, self._row))

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts that are kept: all, or the first and the last fifteen."""
        return [self._attempt(index) for index in range(self._reports.ask(lib.kp_reports_attempts_len, self._row))]

    @property
    def user_record(self) -> Optional[FailedRecord]:
        """The user record itself, if it failed and `return_user_record_on_failure` is set."""
        record = _abi.ReturnedRecordStruct(sizeof(_abi.ReturnedRecordStruct))
        if self._reports.ask(lib.kp_reports_user_record, self._row, byref(record)) != 0:
            return None
        key = string_at(record.partition_key, record.partition_key_len).decode()
        hash_key = None
        if record.explicit_hash_key:
            hash_key = string_at(record.explicit_hash_key, record.explicit_hash_key_len).decode()
        return FailedRecord(key, string_at(record.data, record.data_len), hash_key)

    def __repr__(self) -> str:
        if self.is_stored:
            return f"<Report stored in {self.shard_id} as {self.sequence_number}/{self.sub_sequence_number}>"
        return f"<Report {self.status.name}: {self.error_code}: {self.error_message}, stored: {self.stored.name}>"

    def _attempt(self, index: int) -> Attempt:
        found = _abi.AttemptStruct(sizeof(_abi.AttemptStruct))
        self._reports.ask(lib.kp_reports_attempt, self._row, index, byref(found))
        code, message = found.error_code, found.error_message
        return Attempt(
            found.delay_us / 1e6,
            found.duration_us / 1e6,
            code.decode() if code is not None else None,
            message.decode() if message is not None else None,
        )

    def _text(self, function: Callable[..., Any]) -> Optional[str]:
        found: Optional[bytes] = self._reports.ask(function, self._row)
        return found.decode("utf-8", "replace") if found is not None else None
