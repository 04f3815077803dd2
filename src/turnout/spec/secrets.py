"""The one type that holds passwords, keys and tokens: it does not print, pickle or serialise."""

from __future__ import annotations

import hmac


class Secret:
    """A text that shows itself only when asked.

    Example: `Secret("hunter2").reveal()`. Its `repr`, `str` and format are `***`; a JSON encoder
    and `pickle` refuse it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. Hand it straight to what needs it; never keep or log it."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("A Secret cannot be pickled.")
