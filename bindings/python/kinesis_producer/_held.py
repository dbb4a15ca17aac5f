"""A function of the application's that the library calls, as its producer holds it: everything else refers to it weakly.

It may refer to the producer itself. If the library's side kept it, such a producer would never be collected.
"""

from __future__ import annotations

from typing import Generic, TypeVar

Function = TypeVar("Function")


class Held(Generic[Function]):
    """Lives as long as the producer. Not the function itself: a bound method is made anew whenever it is asked for."""

    def __init__(self, function: Function) -> None:
        self.function = function
