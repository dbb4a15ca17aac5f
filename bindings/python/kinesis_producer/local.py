"""A Kinesis service inside this process, for tests and examples: no AWS account is needed."""

from __future__ import annotations

from ctypes import byref, c_void_p, sizeof, string_at
from types import TracebackType
from typing import Any, NamedTuple, Optional

from . import errors
from ._abi import StoredRecordStruct, has_local, lib
from ._config import c_text
from ._deaggregate import UserRecord, deaggregate


class StoredRecord(NamedTuple):
    """A Kinesis record as it lies in its stream."""

    partition_key: str
    sequence_number: str
    shard_id: str
    data: bytes


class LocalService:
    """A Kinesis service on a free loopback port. It keeps every record in memory and checks no signatures.

        with LocalService() as service, Producer(**service.producer_settings) as producer:
            service.create_stream("orders", shards=2)
    """

    def __init__(self) -> None:
        self._pointer: Optional[int] = None
        if not has_local:
            raise errors.make(errors.Runtime, "the native library was built without the embedded service (--features local)")
        place = c_void_p()
        errors.check(lib.kp_local_start(byref(place)))
        self._pointer = place.value
        self._endpoint_url = errors.text(lib.kp_local_endpoint_url(place))

    @property
    def endpoint_url(self) -> str:
        """Where it listens; any client of Kinesis may talk to it."""
        return self._endpoint_url

    @property
    def producer_settings(self) -> dict[str, Any]:
        """Settings with which a producer finds it: endpoint, region, any credentials, no proxy."""
        return {
            "endpoint_url": self._endpoint_url,
            "region": "us-east-1",
            "access_key_id": "local",
            "secret_access_key": "local",
            "proxy_from_environment": "false",
        }

    def create_stream(self, name: str, shards: int = 1) -> None:
        """Creates a stream and waits until it takes user records."""
        if not 0 < shards < 2**32:
            raise errors.make(errors.InvalidArgument, f"shards: {shards} is not from 1 to {2**32 - 1}")
        errors.check(lib.kp_local_create_stream(self._running(), c_text(name, "name"), shards))

    def read_stream(self, name: str) -> list[StoredRecord]:
        """Every Kinesis record of a stream: shard by shard, in order within each."""
        rows = c_void_p()
        errors.check(lib.kp_local_read_stream(self._running(), c_text(name, "name"), byref(rows)))
        try:
            return [_stored_record(rows.value, row) for row in range(lib.kp_stored_records_len(rows))]
        finally:
            lib.kp_stored_records_free(rows)

    def read_user_records(self, name: str) -> list[UserRecord]:
        """The same, taken apart: every user record of a stream."""
        stored = self.read_stream(name)
        return [record for kinesis in stored for record in deaggregate(kinesis.data, kinesis.partition_key)]

    def stop(self) -> None:
        """Stops it and forgets its streams."""
        pointer, self._pointer = self._pointer, None
        if pointer is not None:
            lib.kp_local_free(pointer)

    def __enter__(self) -> LocalService:
        return self

    def __exit__(
        self, _type: Optional[type[BaseException]], _error: Optional[BaseException], _trace: Optional[TracebackType]
    ) -> None:
        self.stop()

    def __del__(self) -> None:
        if getattr(self, "_pointer", None) is not None:
            self.stop()

    def _running(self) -> int:
        if self._pointer is None:
            raise errors.make(errors.Closed, "the service is stopped")
        return self._pointer


def _stored_record(rows: Optional[int], row: int) -> StoredRecord:
    found = StoredRecordStruct(sizeof(StoredRecordStruct))
    lib.kp_stored_records_get(rows, row, byref(found))
    return StoredRecord(
        errors.text(found.partition_key),
        errors.text(found.sequence_number),
        errors.text(found.shard_id),
        string_at(found.data, found.data_len),
    )
