"""What a call in one thread came to, for another thread to take."""

from __future__ import annotations

from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Outcome(Generic[T]):
    """One value, or the error that kept it from being.

    Used as a context manager around the call: it keeps whatever is raised there, an interrupt
    and the end of an iterator too, so that the other thread can raise it.
    """

    def __init__(self) -> None:
        self.values: list[T] = []
        self.error: BaseException | None = None

    def take(self) -> T:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.values[0]

    def __enter__(self) -> Outcome[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.error = error
        return True
