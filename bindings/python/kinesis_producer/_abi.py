"""The C ABI of include/kinesis_producer.h, declared for ctypes. Every call releases the GIL.

Pointers to the library's objects are plain integers here; who frees them is up to the modules that use them.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import POINTER, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, Optional

WAIT_FOREVER = 2**64 - 1

LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG = 1, 2, 3, 4


class UserRecordStruct(ctypes.Structure):
    """kp_user_record_t, whose pointers are of type c_char_p so that `bytes` go in without a copy."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("partition_key", c_char_p),
        ("partition_key_len", c_size_t),
        ("data", c_char_p),
        ("data_len", c_size_t),
        ("explicit_hash_key", c_char_p),
        ("explicit_hash_key_len", c_size_t),
    ]


class ReturnedRecordStruct(ctypes.Structure):
    """kp_user_record_t as it comes back: c_char_p would end at the first NUL."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("partition_key", c_void_p),
        ("partition_key_len", c_size_t),
        ("data", c_void_p),
        ("data_len", c_size_t),
        ("explicit_hash_key", c_void_p),
        ("explicit_hash_key_len", c_size_t),
    ]


class AttemptStruct(ctypes.Structure):
    """kp_attempt_t"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("delay_us", c_uint64),
        ("duration_us", c_uint64),
        ("error_code", c_char_p),
        ("error_message", c_char_p),
    ]


class CountersStruct(ctypes.Structure):
    """kp_counters_t"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("user_records_received", c_uint64),
        ("user_records_stored", c_uint64),
        ("user_records_failed", c_uint64),
        ("kinesis_records_stored", c_uint64),
        ("kinesis_bytes_stored", c_uint64),
        ("put_records_calls", c_uint64),
        ("attempts", c_uint64),
        ("bytes_sent", c_uint64),
        ("throttled", c_uint64),
        ("wrong_shard", c_uint64),
    ]


class DeaggregatedRecordStruct(ctypes.Structure):
    """kp_deaggregated_record_t"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("partition_key", c_void_p),
        ("partition_key_len", c_size_t),
        ("data", c_void_p),
        ("data_len", c_size_t),
        ("explicit_hash_key", c_char_p),
        ("sub_sequence_number", c_uint64),
        ("aggregated", c_int32),
    ]


class StoredRecordStruct(ctypes.Structure):
    """kp_stored_record_t"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("partition_key", c_char_p),
        ("sequence_number", c_char_p),
        ("shard_id", c_char_p),
        ("data", c_void_p),
        ("data_len", c_size_t),
    ]


LOG_FN = ctypes.CFUNCTYPE(None, c_void_p, c_int32, c_char_p)
FINALIZER_FN = ctypes.CFUNCTYPE(None, c_void_p)
CREDENTIALS_FN = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p)
STATISTICS_FN = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)

_ERROR = c_void_p  # kp_error_t *, NULL for success

# name: (result, arguments). A `char *` of the library's is a c_char_p: ctypes copies it at once.
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "kp_version": (c_char_p, []),
    "kp_status_count": (c_size_t, []),
    "kp_status_at": (c_int32, [c_size_t]),
    "kp_status_name": (c_char_p, [c_int32]),
    "kp_status_description": (c_char_p, [c_int32]),
    "kp_error_code": (c_int32, [c_void_p]),
    "kp_error_message": (c_char_p, [c_void_p]),
    "kp_error_free": (None, [c_void_p]),
    "kp_log_set_callback": (_ERROR, [c_void_p, c_int32, c_void_p, c_void_p]),
    "kp_config_new": (c_void_p, []),
    "kp_config_free": (None, [c_void_p]),
    "kp_config_set": (_ERROR, [c_void_p, c_char_p, c_char_p]),
    "kp_config_load_properties_file": (_ERROR, [c_void_p, c_char_p]),
    "kp_config_check": (_ERROR, [c_void_p]),
    "kp_config_set_credentials_callback": (_ERROR, [c_void_p, c_void_p, c_void_p, c_void_p]),
    "kp_config_set_statistics_callback": (_ERROR, [c_void_p, c_void_p, c_void_p, c_void_p]),
    "kp_credentials_set": (_ERROR, [c_void_p, c_char_p, c_char_p, c_char_p, c_uint64]),
    "kp_producer_new": (_ERROR, [c_void_p, POINTER(c_void_p)]),
    "kp_producer_free": (c_int32, [c_void_p]),
    "kp_producer_stream": (_ERROR, [c_void_p, c_char_p, POINTER(c_void_p)]),
    "kp_producer_poll_reports": (c_void_p, [c_void_p, c_size_t, c_uint64]),
    "kp_producer_flush": (_ERROR, [c_void_p, c_uint64]),
    "kp_producer_close": (_ERROR, [c_void_p, c_uint64, POINTER(c_size_t)]),
    "kp_producer_abort": (_ERROR, [c_void_p, POINTER(c_size_t)]),
    "kp_producer_counters": (c_int32, [c_void_p, POINTER(CountersStruct)]),
    "kp_producer_outstanding": (c_int32, [c_void_p, POINTER(c_size_t), POINTER(c_size_t), POINTER(c_uint64)]),
    "kp_producer_metrics": (_ERROR, [c_void_p, c_char_p, c_uint32, POINTER(c_void_p)]),
    "kp_metrics_len": (c_size_t, [c_void_p]),
    "kp_metrics_name": (c_char_p, [c_void_p, c_size_t]),
    "kp_metrics_unit": (c_char_p, [c_void_p, c_size_t]),
    "kp_metrics_stream": (c_char_p, [c_void_p, c_size_t]),
    "kp_metrics_shard": (c_char_p, [c_void_p, c_size_t]),
    "kp_metrics_error_code": (c_char_p, [c_void_p, c_size_t]),
    "kp_metrics_count": (c_uint64, [c_void_p, c_size_t]),
    "kp_metrics_sum": (c_double, [c_void_p, c_size_t]),
    "kp_metrics_mean": (c_double, [c_void_p, c_size_t]),
    "kp_metrics_min": (c_double, [c_void_p, c_size_t]),
    "kp_metrics_max": (c_double, [c_void_p, c_size_t]),
    "kp_metrics_free": (None, [c_void_p]),
    "kp_producer_statistics": (_ERROR, [c_void_p, POINTER(c_void_p)]),
    "kp_statistics_json": (c_char_p, [c_void_p]),
    "kp_statistics_free": (None, [c_void_p]),
    "kp_stream_put": (c_int32, [c_void_p, POINTER(UserRecordStruct), c_uint64, c_uint64]),
    "kp_stream_put_columns": (
        c_int32,
        # stream, len, keys, key_lens, data, data_lens, hash_keys, hash_key_lens, opaques, timeout_ms, accepted
        [c_void_p, c_size_t, *[c_void_p] * 7, c_uint64, POINTER(c_size_t)],
    ),
    "kp_reports_len": (c_size_t, [c_void_p]),
    "kp_reports_opaques": (c_void_p, [c_void_p]),
    "kp_reports_statuses": (c_void_p, [c_void_p]),
    "kp_reports_stored": (c_int32, [c_void_p, c_size_t]),
    "kp_reports_error_code": (c_char_p, [c_void_p, c_size_t]),
    "kp_reports_error_message": (c_char_p, [c_void_p, c_size_t]),
    "kp_reports_shard_id": (c_char_p, [c_void_p, c_size_t]),
    "kp_reports_sequence_number": (c_char_p, [c_void_p, c_size_t]),
    "kp_reports_sub_sequence_number": (c_int64, [c_void_p, c_size_t]),
    "kp_reports_latency_us": (c_uint64, [c_void_p, c_size_t]),
    "kp_reports_attempts_total": (c_uint32, [c_void_p, c_size_t]),
    "kp_reports_attempts_len": (c_size_t, [c_void_p, c_size_t]),
    "kp_reports_attempt": (c_int32, [c_void_p, c_size_t, c_size_t, POINTER(AttemptStruct)]),
    "kp_reports_user_record": (c_int32, [c_void_p, c_size_t, POINTER(ReturnedRecordStruct)]),
    "kp_reports_free": (None, [c_void_p]),
    "kp_deaggregate": (_ERROR, [c_char_p, c_size_t, c_char_p, c_char_p, c_size_t, POINTER(c_void_p)]),
    "kp_try_deaggregate": (_ERROR, [c_char_p, c_size_t, POINTER(c_void_p)]),
    "kp_deaggregated_len": (c_size_t, [c_void_p]),
    "kp_deaggregated_record": (c_int32, [c_void_p, c_size_t, POINTER(DeaggregatedRecordStruct)]),
    "kp_deaggregated_free": (None, [c_void_p]),
}

# Only a library that was built with the embedded service has these.
_LOCAL_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "kp_local_start": (_ERROR, [POINTER(c_void_p)]),
    "kp_local_endpoint_url": (c_char_p, [c_void_p]),
    "kp_local_create_stream": (_ERROR, [c_void_p, c_char_p, c_uint32]),
    "kp_local_read_stream": (_ERROR, [c_void_p, c_char_p, POINTER(c_void_p)]),
    "kp_local_free": (None, [c_void_p]),
    "kp_stored_records_len": (c_size_t, [c_void_p]),
    "kp_stored_records_get": (c_int32, [c_void_p, c_size_t, POINTER(StoredRecordStruct)]),
    "kp_stored_records_free": (None, [c_void_p]),
}


def _library_path() -> str:
    """The library in this package, or another for development: KINESIS_PRODUCER_LIBRARY names it."""
    override = os.environ.get("KINESIS_PRODUCER_LIBRARY")
    if override:
        return override
    suffix = ".dylib" if sys.platform == "darwin" else ".so"
    return str(Path(__file__).with_name("libkinesis_producer" + suffix))


def _load() -> ctypes.CDLL:
    path = _library_path()
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(f"kinesis_producer: the native library {path} cannot be loaded: {error}") from error
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _declare_local(library: ctypes.CDLL) -> bool:
    if not hasattr(library, "kp_local_start"):
        return False
    for name, (result, arguments) in _LOCAL_FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return True


lib = _load()
has_local = _declare_local(lib)


def address(function: Optional[Any]) -> Optional[int]:
    """A callback as a pointer; the caller keeps the callback alive."""
    return ctypes.cast(function, c_void_p).value if function is not None else None
