"""When the engine is asked what it keeps on its disk: one question at a time, each as close as somebody needs. Pure."""

from __future__ import annotations

from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.removal import Look
from watchtower_agent.model.values import dataclass


@dataclass(slots=True)
class Looks:
    """Questions, numbered in their order.

    Attributes:
        publication: Where effects of the step go.
    """

    publication: Publication
    _asked: int = 0
    """Number of the newest question."""
    _open: Look | None = None
    """It, while there is no answer."""
    _next: Look | None = None
    """What is to be asked after it."""

    def want(self, look: Look) -> int:
        """Ask, or see that it is asked once the question that is open has its answer: that may be out of date by then.

        Returns:
            The number of the question whose answer will do.
        """
        if self._open is None:
            self._ask(look)
            return self._asked
        self._next = Look.SIZES if Look.SIZES in {look, self._next} else look
        return self._asked + 1

    def is_asked(self, look: Look) -> bool:
        """Whether an answer will come that is as close."""
        return Look.SIZES in {self._open, self._next} or look in {self._open, self._next}

    def answered(self) -> int:
        """The open question has its answer, whatever it is. Gives its number, and asks what waits."""
        number, self._open = self._asked, None
        if self._next is not None:
            look, self._next = self._next, None
            self._ask(look)
        return number

    def _ask(self, look: Look) -> None:
        self._asked += 1
        self._open = self.publication.out.look = look
