"""`top`: a page of the running agent's containers in the terminal, asked for once in an interval."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from typing import Any, Final

from rich.text import Text

from watchtower_agent.cli.answer import listed
from watchtower_agent.cli.layout import fitted, words
from watchtower_agent.cli.screen import Ended, Screen
from watchtower_agent.cli.text import printable
from watchtower_agent.cli.top_head import head
from watchtower_agent.cli.top_panel import attention, most_lines, reserved
from watchtower_agent.cli.top_view import containers_table, lines, summary
from watchtower_agent.clock import monotonic
from watchtower_agent.errors import WatchtowerError
from watchtower_agent.model.values import dataclass
from watchtower_agent.serving.client import ControlClient

Json = Mapping[str, Any]

SORTS: Final = {
    "p": "policy",
    "c": "cpu",
    "m": "memory",
    "s": "pressure",
    "r": "restarts",
    "u": "uptime",
    "t": "network",
    "i": "io",
    "n": "name",
}
"""Key -> order."""
_LABELS: Final = {
    "p": "policy",
    "c": "cpu",
    "m": "mem",
    "s": "psi",
    "r": "restarts",
    "u": "uptime",
    "t": "net",
    "i": "io",
    "n": "name",
}
_OTHER_KEYS: Final = ("- reverse ↑↓ choose q quit", "- reverse ↑↓ q quit", "- reverse q quit")
"""The first beside which the number of containers has room."""
LARGEST_PAGE: Final = 200
"""Containers that the agent tells at once."""
_SHORTEST_PAUSE: Final = 0.2
"""Seconds between two questions, however fast keys are pressed."""
_PATIENCE: Final = 2.0
"""Seconds after which an answer that has not come is told."""
_AROUND: Final = 6
"""Lines of the head, the columns' titles and the keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the person at the terminal has chosen, and what of it has room.

    Attributes:
        sort: The order.
        backwards: The other way round.
        offset: Containers above the first line.
        room: Lines for containers and for the details of the chosen one.
        panel: Those of them for the details.
        measured: Whether a page was drawn since one went to another at once: while one walks, and when a guard comes
            and goes, the details keep the room that they once needed, so that the list does not jump.
        cursor: Number of the chosen container, over all of them.
        chosen: Its id, once it was chosen by hand: then the choice follows it as the order changes.
    """

    sort: str = "policy"
    backwards: bool = False
    offset: int = 0
    room: int = 0
    panel: int = 0
    measured: bool = False
    cursor: int = 0
    chosen: str = ""

    @property
    def rows(self) -> int:
        """Lines for containers."""
        return max(1, self.room - self.panel)

    @property
    def question(self) -> dict[str, object]:
        """What the agent is asked."""
        limit = min(self.room, LARGEST_PAGE)
        return {"sort": self.sort, "backwards": self.backwards, "offset": self.offset, "limit": limit}

    def pressed(self, key: str, total: int) -> View:
        """What is chosen after a key."""
        first = replace(self, offset=0, cursor=0, chosen="", measured=False)
        if key in SORTS:
            return replace(first, sort=SORTS[key], backwards=False)
        if key == "-":
            return replace(first, backwards=not self.backwards)
        if key in {"home", "g"}:
            return first
        if key in {"end", "G"}:
            return replace(self.at(total - 1, total), measured=False)
        if key in {"page up", "page down", " "}:
            step = -self.rows if key == "page up" else self.rows
            return replace(self.at(self.cursor + step, total), measured=False)
        walked = {"up": -1, "k": -1, "down": 1, "j": 1}.get(key, 0)
        return self.at(self.cursor + walked, total) if walked else self

    def at(self, cursor: int, total: int) -> View:
        """With that container chosen, and in sight."""
        cursor = max(0, min(cursor, total - 1))
        offset = min(max(self.offset, cursor - self.rows + 1), cursor)
        offset = max(0, min(offset, total - self.rows))
        return replace(self, cursor=cursor, offset=offset, chosen="")

    def seen(self, frame: Json) -> View:
        """With the choice on the same container as before, where it is still in sight."""
        ids = [container.get("id") for container in listed(frame, "containers")]
        offset, total = frame.get("offset", 0), frame.get("total", 0)
        if self.chosen and self.chosen in ids:
            return replace(self, cursor=offset + ids.index(self.chosen))
        index = self.cursor - offset
        if 0 <= index < len(ids):
            # The first line stays the first: whatever is closest to firing is what is looked at.
            return replace(self, chosen=ids[index] if self.cursor else "")
        return self if not ids and total else self.at(self.cursor, max(1, total))

    def fitted(self, frame: Json, columns: int, height: int) -> View:
        """With lines for what the page needs, and the choice in sight."""
        least = self.panel if self.measured else 0
        most = most_lines(height)
        containers = listed(frame, "containers")
        panel = reserved(containers, frame, columns, room=self.room, least=least, most=most)
        view = replace(self, panel=panel, measured=True)
        in_sight = view.at(view.cursor, max(1, frame.get("total", 0)))
        return view if in_sight.offset == view.offset else replace(in_sight, chosen=self.chosen)


@dataclass(slots=True)
class _Asker:
    """Asks in a thread of its own, so that keys are heard while the agent is slow to answer.

    Attributes:
        frame: The newest answer.
        problem: Why there is none; empty when there was one.
        asked: When the question was asked that is not answered yet, monotonic seconds; None while there is none.
    """

    client: ControlClient
    woken: Callable[[], None]
    interval: float
    frame: Json | None = None
    problem: str = ""
    asked: float | None = None
    _question: dict[str, object] = field(default_factory=dict)
    _bell: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        threading.Thread(target=self._run, name="top-asks", daemon=True).start()

    @property
    def complaint(self) -> str:
        """What is to be said in place of the keys: a page that stands still must not look as if all were well."""
        waited = 0.0 if (asked := self.asked) is None else monotonic() - asked
        return f"The agent has not answered for {waited:.0f} s" if waited >= _PATIENCE else self.problem

    def ask(self, question: dict[str, object]) -> None:
        """From now on this; at once when it is another one than before."""
        if question != self._question:
            self._question = question
            self._bell.set()

    def end(self) -> None:
        self._ended.set()
        self._bell.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._bell.clear()
            self.asked = monotonic()
            try:
                self.frame, self.problem = self.client.ask("top", **self._question), ""
            except WatchtowerError as error:
                self.problem = str(error)
            self.asked = None
            self.woken()
            self._ended.wait(_SHORTEST_PAUSE)
            self._bell.wait(max(0.0, self.interval - _SHORTEST_PAUSE))


def pages(client: ControlClient, sort: str, *, backwards: bool = False) -> Iterator[Json]:
    """All containers, in as many pages as it takes."""
    offset = 0
    while True:
        page: Json = client.ask("top", sort=sort, backwards=backwards, offset=offset, limit=LARGEST_PAGE)
        yield page
        offset += LARGEST_PAGE
        if offset >= page.get("total", 0):
            return


def whole(client: ControlClient, sort: str, *, backwards: bool = False) -> Json:
    """One frame with every container."""
    first, *others = pages(client, sort, backwards=backwards)
    containers = [container for page in (first, *others) for container in listed(page, "containers")]
    return {**first, "containers": containers, "total": len(containers)}


def once(frame: Json, width: int | None) -> list[Text]:
    """One frame with every container: the table, and what fires, counts or is held in full."""
    shown = [*head(frame, width), Text(), *containers_table(listed(frame, "containers"), width, frame.get("at"))]
    rest = attention(frame, width)
    return [*shown, Text(), *rest] if rest else shown


def watch(client: ControlClient, screen: Screen, first: Json, *, sort: str, backwards: bool, interval: float) -> None:
    """Show pages until `q`, Ctrl-C, or the end of the terminal.

    Args:
        client: Asks the agent.
        screen: Ours, entered.
        first: A frame to begin with.
        sort: The order to begin with.
        backwards: The other way round.
        interval: Seconds between questions.
    """
    asker = _Asker(client, screen.wake, interval, frame=first)
    view = View(sort=sort, backwards=backwards)
    size = (0, 0)
    begun = False
    try:
        while True:
            columns, height = screen.size
            if size != (columns, height):
                size = columns, height
                view = replace(view, room=max(1, height - _AROUND), measured=False)
            frame = asker.frame or {}
            if frame.get("offset") == view.offset and frame.get("sort") == view.sort:
                view = view.seen(frame).fitted(frame, columns, height)
            asker.ask(view.question)
            if not begun:
                asker.start()
                begun = True
            screen.show(_drawn(frame, view, asker.complaint, columns, height))
            for key in screen.wait(min(interval, _PATIENCE)):
                if key in {"q", "Q", "\x03"}:
                    return
                view = view.pressed(key, frame.get("total", 0))
    except (Ended, KeyboardInterrupt):
        return
    finally:
        asker.end()


def _drawn(frame: Json, view: View, problem: str, columns: int, height: int) -> list[Text]:
    frame = _in_sight(frame, view)
    line = view.cursor - frame["offset"]
    selected = line if 0 <= line < len(frame["containers"]) else None
    page = lines(frame, columns, rows=view.rows, selected=selected, panel=view.panel)
    page[height - 1 :] = []
    page += [Text()] * (height - 1 - len(page))
    last = fitted((words(printable(problem), "bold red"),), columns) if problem else _keys(frame, view, columns)
    return [*page, last]


def _in_sight(frame: Json, view: View) -> Json:
    """The frame with the containers that have a line; those that were told already while the next page is asked for."""
    containers, offset = listed(frame, "containers"), frame.get("offset", 0)
    passed = view.offset - offset if frame.get("sort") == view.sort else 0
    begin = passed if 0 < passed < len(containers) else 0
    return {**frame, "containers": containers[begin : begin + view.rows], "offset": offset + begin}


def _keys(frame: Json, view: View, columns: int) -> Text:
    line = Text()
    for key, order in SORTS.items():
        label = _LABELS[key]
        at = label.index(key)
        active = "reverse" if order == view.sort else ""
        line.append(label[:at], active)
        line.append(label[at], f"bold underline {active}".strip())
        line.append(label[at + 1 :], active)
        line.append(" ")
    shown = summary(frame)
    left = columns - line.cell_len
    others = next((keys for keys in _OTHER_KEYS if len(keys) + 2 + len(shown) <= left), _OTHER_KEYS[0])
    if len(others) > left:
        return fitted((words(f"sort {''.join(SORTS)}, - reverse, q quit"),), columns)
    line.append(others)
    left -= len(others)
    if left > len(shown) + 1:
        line.append(shown.rjust(left), "dim")
    return line
