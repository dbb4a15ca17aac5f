"""Credentials from a function of the application's."""

from __future__ import annotations

import itertools
import weakref
from datetime import datetime
from typing import Callable, NamedTuple, Optional

from . import _abi, errors
from ._abi import lib
from ._held import Held
from ._log import LOGGER


class Credentials(NamedTuple):
    """What a provider returns. `expires_at`, a datetime with a time zone, says when it is asked again."""

    access_key_id: str
    secret_access_key: str
    session_token: Optional[str] = None
    expires_at: Optional[datetime] = None


#: Called when credentials are needed, on a thread of the library, which waits for it. What it raises is logged.
Provider = Callable[[], Credentials]

# By the number that goes through the library as user_data.
_providers: weakref.WeakValueDictionary[int, Held[Provider]] = weakref.WeakValueDictionary()
_numbers = itertools.count(1)


def _provide(user_data: Optional[int], place: Optional[int]) -> int:
    held = _providers.get(user_data or 0)
    if held is None:
        # The producer was collected.
        return 1
    try:
        found = held.function()
        expires = found.expires_at
        if expires is not None and expires.tzinfo is None:
            raise ValueError(f"expires_at: {expires} has no time zone")
        token = found.session_token.encode() if found.session_token is not None else None
        milliseconds = int(expires.timestamp() * 1000) if expires is not None else 0
        key, secret = found.access_key_id.encode(), found.secret_access_key.encode()
        errors.check(lib.kp_credentials_set(place, key, secret, token, milliseconds))
        return 0
    except Exception:
        LOGGER.exception("the credentials provider failed")
        return 1


_CALLBACK = _abi.CREDENTIALS_FN(_provide)


def callback(provider: Held[Provider]) -> tuple[Optional[int], int]:
    """Function and user_data for the library. They do not keep the provider."""
    number = next(_numbers)
    _providers[number] = provider
    return _abi.address(_CALLBACK), number
