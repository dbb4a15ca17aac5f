"""The KPL's metrics, as they stood when they were asked for."""

from __future__ import annotations

from ctypes import byref, c_void_p
from dataclasses import dataclass
from datetime import timedelta
from typing import Optional, Union

from . import errors
from ._abi import lib
from ._config import c_text

Window = Union[float, timedelta, None]

_MOST = 2**32 - 1


@dataclass(frozen=True)
class Metric:
    """The values of one metric: of the producer, a stream or a shard, and perhaps of one error code."""

    #: In CloudWatch, such as "UserRecordsPut".
    name: str
    #: "Count", "Bytes" or "Milliseconds".
    unit: str
    #: By the name or ARN it was opened by; None for all streams together.
    stream: Optional[str]
    #: None for all shards together.
    shard: Optional[str]
    #: For ErrorsByCode; None for all codes together, and for every other metric.
    error_code: Optional[str]
    #: How many values.
    count: int
    #: This and what follows are 0 if there are none.
    sum: float
    mean: float
    min: float
    max: float


def read(producer: int, name: Optional[str], window: Window) -> list[Metric]:
    """The metrics of a kp_producer_t."""
    one_or_all = None if name is None else c_text(name, "name")
    place = c_void_p()
    errors.check(lib.kp_producer_metrics(producer, one_or_all, _seconds(window), byref(place)))
    try:
        return [_row(place, row) for row in range(lib.kp_metrics_len(place))]
    finally:
        lib.kp_metrics_free(place)


def _row(metrics: c_void_p, row: int) -> Metric:
    def text(found: Optional[bytes]) -> Optional[str]:
        return None if found is None else errors.text(found)

    return Metric(
        name=errors.text(lib.kp_metrics_name(metrics, row)),
        unit=errors.text(lib.kp_metrics_unit(metrics, row)),
        stream=text(lib.kp_metrics_stream(metrics, row)),
        shard=text(lib.kp_metrics_shard(metrics, row)),
        error_code=text(lib.kp_metrics_error_code(metrics, row)),
        count=lib.kp_metrics_count(metrics, row),
        sum=lib.kp_metrics_sum(metrics, row),
        mean=lib.kp_metrics_mean(metrics, row),
        min=lib.kp_metrics_min(metrics, row),
        max=lib.kp_metrics_max(metrics, row),
    )


def _seconds(window: Window) -> int:
    """For the library, which says what is too long; 0 is since the start."""
    if window is None:
        return 0
    seconds = window.total_seconds() if isinstance(window, timedelta) else window
    if not 1 <= seconds <= _MOST or seconds != int(seconds):
        words = "1 to 60 whole seconds are allowed, or None for all since the start"
        raise errors.make(errors.InvalidWindow, f"window: {window!r}: {words}")
    return int(seconds)
