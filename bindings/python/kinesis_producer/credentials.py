"""Credentials from a function of the application's."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Callable, NamedTuple, Optional

from . import _abi, errors
from ._abi import lib
from ._log import LOGGER


class Credentials(NamedTuple):
    """What a provider returns. `expires_at`, a datetime with a time zone, says when it is asked again."""

    access_key_id: str
    secret_access_key: str
    session_token: Optional[str] = None
    expires_at: Optional[datetime] = None


#: Called when credentials are needed, on a thread of the library, which waits for it. What it raises is logged.
Provider = Callable[[], Credentials]

# By the number that goes through the library as user_data: it says itself when one is not needed any more.
_providers: dict[int, Provider] = {}
_numbers = itertools.count(1)


def _provide(user_data: Optional[int], place: Optional[int]) -> int:
    try:
        found = _providers[user_data or 0]()
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


def _forget(user_data: Optional[int]) -> None:
    _providers.pop(user_data or 0, None)


_CALLBACK = _abi.CREDENTIALS_FN(_provide)
_FINALIZER = _abi.FINALIZER_FN(_forget)


def callback(provider: Provider) -> tuple[Optional[int], Optional[int], int]:
    """Function, finalizer and user_data for the library."""
    number = next(_numbers)
    _providers[number] = provider
    return _abi.address(_CALLBACK), _abi.address(_FINALIZER), number
