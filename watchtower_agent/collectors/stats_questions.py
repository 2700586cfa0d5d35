"""Questions to the engine's stats API that are under way, each answer used as it comes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from watchtower_agent.collectors.stats_answer import StatsAnswer, parse_stats
from watchtower_agent.errors import AbsentError, WatchtowerError
from watchtower_agent.model.values import dataclass

AT_ONCE = 4
"""Questions under way at the same time, as long as they are answered."""
ASIDE = 16
"""Questions that may hang beside these: each holds a thread."""
LATE_AFTER = 1.0
"""Seconds after which a question gives its place to another one."""

Ask = Callable[[str], object]
"""Asks the engine about a container once, without waiting for a second look. Raises WatchtowerError."""


@dataclass(slots=True, eq=False)
class Question:
    """One question about one container. No two are equal.

    Attributes:
        container_id: The full id.
        anew: What the container answered before is out of date, and this question was put afterwards.
        aside: It takes no place of the others, since the last one about this container hung.
        began: When it was asked, monotonic seconds; None while it waits.
        took: Seconds until it was settled.
        answer: None where there is none.
        failure: Why there is none; empty for a container that is gone, or does not run.
        alone: Others were answered while this one was not.
    """

    container_id: str
    anew: bool = False
    aside: bool = False
    began: float | None = None
    took: float = 0.0
    answer: StatsAnswer | None = None
    failure: str = ""
    alone: bool = False

    @property
    def hung(self) -> bool:
        """Whether it took long and came to nothing."""
        return bool(self.failure) and self.took > LATE_AFTER


class Questions:
    """Asks a few questions at a time, on threads that end when none waits. One that hangs keeps no other waiting.

    Args:
        ask: Called on threads of its own.
        monotonic: For how long a question takes.
    """

    def __init__(self, ask: Ask, monotonic: Callable[[], float]) -> None:
        self.ask = ask
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._waiting: deque[Question] = deque()
        self._waiting_aside: deque[Question] = deque()
        self._asked: set[Question] = set()
        self._settled: list[Question] = []
        self._answered_at = float("-inf")

    def put(self, question: Question) -> None:
        """Ask this when there is a place; not before `go_on`."""
        (self._waiting_aside if question.aside else self._waiting).append(question)

    def go_on(self) -> None:
        """Begin as many as there are places: a question that has become late has left its own."""
        while self._waiting or self._waiting_aside:
            with self._lock:
                question = self._next()
            if question is None:
                return
            threading.Thread(target=self._run, args=(question,), name="engine-stats", daemon=True).start()

    def settled(self) -> list[Question]:
        """Those that were answered, or came to nothing, since this was last asked."""
        with self._lock:
            settled, self._settled = self._settled, []
        return settled

    def give_up(self) -> None:
        """Ask nothing more. A question under way ends by itself."""
        with self._lock:
            self._waiting.clear()
            self._waiting_aside.clear()

    def _run(self, question: Question | None) -> None:
        while question is not None:
            self._ask(question)
            with self._lock:
                question = self._next()

    def _next(self) -> Question | None:
        now = self._monotonic()
        aside = sum(each.aside or now - (each.began or now) > LATE_AFTER for each in self._asked)
        prompt = len(self._asked) - aside
        if self._waiting and prompt < AT_ONCE and len(self._asked) < AT_ONCE + ASIDE:
            question = self._waiting.popleft()
        elif self._waiting_aside and aside < ASIDE:
            question = self._waiting_aside.popleft()
        else:
            return None
        question.began = now
        self._asked.add(question)
        return question

    def _ask(self, question: Question) -> None:
        answer, failure = None, ""
        try:
            answer = parse_stats(self.ask(question.container_id))
        except AbsentError:
            pass  # the expected end of every container
        except WatchtowerError as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001 - whatever one question meets, it must end, or it is never asked again
            failure = f"asking the stats API failed: {type(error).__name__}: {error}"
        now = self._monotonic()
        with self._lock:
            began = question.began if question.began is not None else now
            question.took, question.answer, question.failure = now - began, answer, failure
            question.alone = self._answered_at > began
            if not failure:
                self._answered_at = now
            self._asked.discard(question)
            self._settled.append(question)
