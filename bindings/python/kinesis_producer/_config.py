"""Settings of Python values for the library: booleans, numbers, durations, paths and texts, by the names of CONFIGURATION.md."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Optional, Union

from . import _abi, errors
from ._abi import lib
from ._held import Held
from ._statistics import Watcher
from .credentials import Provider, callback

Setting = Union[str, bool, int, float, timedelta, "os.PathLike[str]", None]


def milliseconds(timeout: Union[float, timedelta, None]) -> int:
    """A timeout for the library: seconds, a timedelta, or None to wait for ever. What is above 0 stays above 0."""
    if timeout is None:
        return _abi.WAIT_FOREVER
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if not seconds >= 0:
        raise errors.make(errors.InvalidArgument, f"timeout: {timeout!r} is neither None nor a number of seconds from 0")
    if seconds >= _abi.WAIT_FOREVER / 1000:
        return _abi.WAIT_FOREVER
    return -int(-seconds * 1000 // 1)


def c_text(value: str, name: str) -> bytes:
    """A text for C."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: a str is expected, not {type(value).__name__}")
    if "\0" in value:
        raise errors.make(errors.InvalidArgument, f"{name}: {value!r} contains a NUL")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise errors.make(errors.InvalidArgument, f"{name}: {value!r} is not Unicode text") from None


def _setting_text(value: Any, name: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return f"{value // timedelta(microseconds=1)} us"
    if isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    raise TypeError(f"{name}: a str, bool, number, timedelta or path is expected, not {type(value).__name__}")


def _flat(settings: Mapping[str, Setting], streams: Mapping[str, Mapping[str, Setting]]) -> Iterator[tuple[str, Any]]:
    yield from settings.items()
    for stream, its_settings in streams.items():
        for key, value in its_settings.items():
            yield f"stream.{stream}.{key}", value


class Config:
    """A kp_config_t with these settings, to be taken by `release` or freed."""

    def __init__(
        self,
        settings: Mapping[str, Setting],
        streams: Mapping[str, Mapping[str, Setting]],
        properties_file: Union[str, os.PathLike[str], None],
        credentials: Optional[Held[Provider]],
        watcher: Optional[Watcher],
    ) -> None:
        self._pointer: Optional[int] = lib.kp_config_new()
        if properties_file is not None:
            path = c_text(os.fspath(properties_file), "properties_file")
            errors.check(lib.kp_config_load_properties_file(self._pointer, path))
        self._set_all(settings, streams)
        if credentials is not None:
            errors.check(lib.kp_config_set_credentials_callback(self._pointer, *callback(credentials), None))
        if watcher is not None:
            errors.check(lib.kp_config_set_statistics_callback(self._pointer, *watcher.callback()))

    def _set_all(self, settings: Mapping[str, Setting], streams: Mapping[str, Mapping[str, Setting]]) -> None:
        wrong = []
        for key, value in _flat(settings, streams):
            if value is None:
                continue
            name, text = c_text(key, "setting"), c_text(_setting_text(value, key), key)
            failure = errors.take(lib.kp_config_set(self._pointer, name, text))
            if failure is not None:
                wrong.append(failure.message)
        if wrong:
            # All of them at once: one mistake after the other is tedious.
            raise errors.make(errors.InvalidConfig, "; ".join(wrong))

    def release(self) -> Optional[int]:
        """The pointer, for a function that takes it."""
        pointer, self._pointer = self._pointer, None
        return pointer

    def __del__(self) -> None:
        pointer = getattr(self, "_pointer", None)
        if pointer is not None:
            lib.kp_config_free(pointer)
