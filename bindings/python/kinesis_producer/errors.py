"""The exceptions: one class for each code of the ABI, with its name. The library's own table is checked against them."""

from __future__ import annotations

from typing import Optional

from ._abi import lib


class KinesisProducerError(Exception):
    """What every exception of this package is. `code` and `name` are stable; `message` is for people."""

    def __init__(self, code: int, name: str, message: str) -> None:
        # All of them as args: so it can be pickled, and raised again in another process.
        super().__init__(code, name, message)
        self.code = code
        self.name = name
        self.message = message

    def __str__(self) -> str:
        return self.message


class QueueFull(KinesisProducerError):
    """No room for another user record, or too much is queued for its shard; nothing was kept."""


class TimedOut(KinesisProducerError):
    """The time given for waiting passed. A put that says so kept nothing."""


class RecordTooLarge(KinesisProducerError):
    """The user record's data, or data and partition key, are too large."""


class InvalidPartitionKey(KinesisProducerError):
    """The partition key is empty, longer than 256 characters, or not UTF-8."""


class InvalidHashKey(KinesisProducerError):
    """The explicit hash key is not a decimal number from 0 to 2^128 - 1."""


class Closed(KinesisProducerError):
    """The producer is closed or closing."""


class Poisoned(KinesisProducerError):
    """A bug stopped the producer; its outstanding user records were reported as aborted."""


class WrongReportMode(KinesisProducerError):
    """What was asked for does not fit the producer's way of reporting."""


class InvalidStreamName(KinesisProducerError):
    """Neither an ARN nor a stream name that Kinesis allows."""


class InvalidConfig(KinesisProducerError):
    """One or more settings are unknown, unreadable or out of range; the message names all of them."""


class NoRegion(KinesisProducerError):
    """No region is configured and none was found in the environment."""


class NoCredentials(KinesisProducerError):
    """No credentials were found."""


class Io(KinesisProducerError):
    """A file that the configuration names cannot be read or used."""


class Runtime(KinesisProducerError):
    """Threads or sockets could not be had."""


class UnknownMetric(KinesisProducerError):
    """There is no metric of this name."""


class InvalidWindow(KinesisProducerError):
    """Metrics can be asked for the last 1 to 60 seconds, or since the start."""


class InvalidAggregate(KinesisProducerError):
    """The data is not a sound aggregate."""


class InvalidArgument(KinesisProducerError):
    """An argument is missing, not UTF-8 or out of range."""


class WrongThread(KinesisProducerError):
    """It would wait for the callback that it is called from."""


class Forked(KinesisProducerError):
    """The object belongs to the parent process: after fork, make a new producer."""


class Panic(KinesisProducerError):
    """A bug in the library; nothing of what was asked for can be relied on."""


CLASSES: dict[int, type[KinesisProducerError]] = {
    -1: QueueFull,
    -2: TimedOut,
    -3: RecordTooLarge,
    -4: InvalidPartitionKey,
    -5: InvalidHashKey,
    -6: Closed,
    -7: Poisoned,
    -8: WrongReportMode,
    -9: InvalidStreamName,
    -20: InvalidConfig,
    -21: NoRegion,
    -22: NoCredentials,
    -23: Io,
    -24: Runtime,
    -30: UnknownMetric,
    -31: InvalidWindow,
    -40: InvalidAggregate,
    -60: InvalidArgument,
    -61: WrongThread,
    -62: Forked,
    -63: Panic,
}
CODES: dict[type[KinesisProducerError], int] = {cls: code for code, cls in CLASSES.items()}

# The statuses that the put path looks at, and the one of a free.
OK, QUEUE_FULL, TIMED_OUT, WRONG_THREAD = 0, -1, -2, -61


def text(value: Optional[bytes]) -> str:
    """A text of the library's."""
    return (value or b"").decode("utf-8", "replace")


def _check_table() -> None:
    """A library with other codes than these is another version: better refused at import than misread later."""
    for index in range(lib.kp_status_count()):
        code = lib.kp_status_at(index)
        name = text(lib.kp_status_name(code))
        if code != OK and code in CLASSES and CLASSES[code].__name__ != name:
            raise ImportError(f"kinesis_producer: the native library calls {code} {name}, not {CLASSES[code].__name__}")


_check_table()


def from_status(code: int, message: Optional[str] = None) -> KinesisProducerError:
    """The exception for a status. A code of a later library is a plain KinesisProducerError."""
    name = text(lib.kp_status_name(code))
    message = message if message is not None else text(lib.kp_status_description(code))
    return CLASSES.get(code, KinesisProducerError)(code, name, message)


def make(cls: type[KinesisProducerError], message: str) -> KinesisProducerError:
    """An exception that this package itself raises."""
    return from_status(CODES[cls], message)


def take(error: Optional[int]) -> Optional[KinesisProducerError]:
    """The exception for a kp_error_t, which is freed."""
    if not error:
        return None
    try:
        return from_status(lib.kp_error_code(error), text(lib.kp_error_message(error)))
    finally:
        lib.kp_error_free(error)


def check(error: Optional[int]) -> None:
    """Raises what a kp_error_t says."""
    failure = take(error)
    if failure is not None:
        raise failure
