"""Below the list of `top`: the chosen container with its policies in full, and how many lines that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len
from rich.text import Text

from watchtower_agent.cli.answer import listed, section
from watchtower_agent.cli.layout import ELLIPSIS, Line, fitted, name, words
from watchtower_agent.cli.text import printable
from watchtower_agent.cli.watchers import details

Json = Mapping[str, Any]

_LEAST_HEIGHT: Final = 16
"""Lines of a terminal; a lower one is for the table."""
_FEWEST, _MOST = 5, 16


def most_lines(height: int) -> int:
    """How many lines of a terminal the panel may take."""
    return 0 if height < _LEAST_HEIGHT else max(_FEWEST, min(_MOST, height // 3))


def reserved(containers: Sequence[Json], frame: Json, width: int, *, room: int, least: int, most: int) -> int:
    """Lines for the panel, so that it holds any container above it: the list stands still while one walks through it.

    Args:
        containers: From the first line of the list on.
        frame: The agent's answer.
        width: Cells of the terminal.
        room: Lines of list and panel together.
        least: Lines that it has at least.
        most: Lines that it has at most.
    """
    needed = [len(_lines(container, frame, width)) for container in containers[: max(1, room - least)]]
    return next((size for size in range(least, most) if max(needed[: max(1, room - size)], default=0) <= size), most)


def panel_of(container: Json, frame: Json, width: int, *, most: int) -> list[Text]:
    """What is known of a container and its policies; the last line says so if there is more.

    Args:
        container: As the agent tells it.
        frame: The agent's answer.
        width: Cells of the terminal.
        most: Lines.
    """
    found = _lines(container, frame, width)
    if len(found) > most:
        found = [*found[: max(0, most - 1)], (words(f"  {ELLIPSIS}", "dim"),)][:most]
    shown = [fitted(line, width) for line in found]
    for title in shown[:1]:
        title.append(f" {'─' * (width - title.cell_len - 1)}" if title.cell_len < width else "", "dim")
    return shown


def _lines(container: Json, frame: Json, width: int) -> list[Line]:
    many = container.get("watched_by", 0)
    title = [
        name(printable(container.get("name") or "?"), "bold"),
        words("  "),
        name(printable(container.get("image") or "?"), "dim"),
        words(f"  {printable(container.get('status') or 'state not known')}"),
    ]
    if container.get("status") != "running" and container.get("exit_code") is not None:
        title.append(words(f" with exit code {container['exit_code']}"))
    if container.get("operator_action"):
        title.append(words(f"  someone did a {printable(container['operator_action'])}", "yellow"))
    policies = "1 policy" if many == 1 else f"{many:,} policies"
    title.append(words(f"  watched by {policies if many else 'no policy'}", "dim"))
    found: list[Line] = [tuple(title)]
    for watcher in listed(container, "watchers"):
        found += details(watcher, frame.get("at"), width)
    left = many - len(listed(container, "watchers"))
    if left > 0:
        found.append((words(f"  and {left:,} more", "dim"),))
    return found


def attention(frame: Json, width: int | None) -> list[Text]:
    """What fires, counts or is held, in full: the end of a page that nobody can choose a line in."""
    found: list[Text] = []
    host = printable(section(frame, "agent").get("host", "?"))
    targets = [(host, frame), *((container.get("name") or "?", container) for container in listed(frame, "containers"))]
    for target, about in targets:
        for watcher in listed(about, "watchers"):
            if watcher.get("firing") or watcher.get("true") or watcher.get("guard") or watcher.get("under_way"):
                room = None if width is None else width - cell_len(printable(target)) - 2
                first, *others = details(watcher, frame.get("at"), room)
                found.append(fitted((words("  "), name(printable(target), "bold"), *first), width))
                found += [fitted(line, width) for line in others]
    return found
