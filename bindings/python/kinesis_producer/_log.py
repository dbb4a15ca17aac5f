"""The library's log lines for Python's `logging`, under the logger "kinesis_producer".

The library calls from threads of its own. The callback only queues the line and a thread of ours hands it on, so that a slow
handler, or one that itself puts user records, never holds up the sending. Lines are few: repeated ones are rate limited.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
from typing import Optional

from . import _abi, errors
from ._abi import lib

LOGGER = logging.getLogger("kinesis_producer")
# An application that has set up no logging gets no lines, instead of warnings on stderr.
LOGGER.addHandler(logging.NullHandler())
_LEVELS = {
    _abi.LOG_ERROR: logging.ERROR,
    _abi.LOG_WARN: logging.WARNING,
    _abi.LOG_INFO: logging.INFO,
    _abi.LOG_DEBUG: logging.DEBUG,
}

_lines: queue.SimpleQueue[Optional[tuple[int, bytes]]] = queue.SimpleQueue()
_lock = threading.Lock()
_thread: Optional[threading.Thread] = None
_level: Optional[int] = None
_pid = 0
_no_more_calls = threading.Event()


def _queue_line(_user_data: Optional[int], level: int, line: Optional[bytes]) -> None:
    _lines.put((level, line or b""))


def _ended(_user_data: Optional[int]) -> None:
    _no_more_calls.set()


# Kept for as long as the process lives: the library may call them until its end.
_CALLBACK = _abi.LOG_FN(_queue_line)
_FINALIZER = _abi.FINALIZER_FN(_ended)


def forward() -> None:
    """Starts forwarding, or adapts it to the level that the logger has now."""
    global _thread, _level, _pid
    most = _library_level(LOGGER.getEffectiveLevel())
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_hand_on, name="kinesis-producer-log", daemon=True)
            _thread.start()
        if (_level, _pid) == (most, os.getpid()):
            return
        error = lib.kp_log_set_callback(_abi.address(_CALLBACK), most, None, None)
        # Refused if something else in this process takes the lines already: then it has them.
        if errors.take(error) is None:
            _level, _pid = most, os.getpid()


def _library_level(level: int) -> int:
    return max((ours for ours, theirs in _LEVELS.items() if theirs >= level), default=_abi.LOG_ERROR)


def _hand_on() -> None:
    while True:
        line = _lines.get()
        if line is None:
            return
        level, text = line
        try:
            LOGGER.log(_LEVELS.get(level, logging.DEBUG), "%s", text.decode("utf-8", "replace"))
        except Exception:
            # A handler that raises must not end the forwarding.
            pass


@atexit.register
def _stop() -> None:
    """No thread of the library may call into an interpreter that is being taken down: it would end there, in mid-air."""
    global _level
    if _level is None or _pid != os.getpid():
        return
    # Setting it once more with a finalizer, and then to none, tells when the last call has returned.
    _level = None
    errors.take(lib.kp_log_set_callback(_abi.address(_CALLBACK), _abi.LOG_ERROR, None, _abi.address(_FINALIZER)))
    errors.take(lib.kp_log_set_callback(None, _abi.LOG_ERROR, None, None))
    _no_more_calls.wait(1)
    _lines.put(None)
    if _thread is not None:
        _thread.join(1)


def _in_child() -> None:
    """The thread stayed in the parent, perhaps holding the lock or in the middle of the queue."""
    global _lines, _lock, _thread
    _lines, _lock, _thread = queue.SimpleQueue(), threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
