"""A page of `top` as lines: host, engine and policies above, a line for each container, details of one below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from watchtower_agent.cli.answer import listed, section
from watchtower_agent.cli.chart import trend
from watchtower_agent.cli.layout import Column, Line, name, table, words
from watchtower_agent.cli.quantities import number, reading, short_duration, short_size, tenths
from watchtower_agent.cli.text import counted, printable
from watchtower_agent.cli.top_head import head
from watchtower_agent.cli.top_panel import panel_of
from watchtower_agent.cli.watchers import short, told
from watchtower_agent.model.values import dataclass

Json = Mapping[str, Any]

_ORDINARY: Final = 80
"""Cells from which on most guards are whole beside a policy's name that is cut: `he…y held: cooldown +4`."""
_WIDE: Final = 100
"""From here on there are two blanks between columns, and words beside the nearest policy."""
_VERY_WIDE: Final = 140
_STATES: Final = {
    "healthy": "green",
    "unhealthy": "bold red",
    "starting": "yellow",
    "exited": "dim",
    "created": "dim",
    "paused": "yellow",
    "restarting": "bold yellow",
    "dead": "bold red",
}
_HIGH: Final = 90
"""Percent of a limit from which on it is in colour."""
_TREND: Final = 8
"""Cells of the trend of a container's CPU."""
_FULL: Final = 20.0
"""Percent of a core that a full cell of the trend stands for, if there is no more: an idle container's is flat."""
_SHOWN_AS_ZERO: Final = 0.05
"""What is less is written 0.0. A container that never used more has no trend: hundreds of flat ones hide the others."""
_FLAT: Final = frozenset(" ·▁")
"""A trend of nothing else stays in the background."""
_PRESSURES: Final = (("pressure.cpu", "c"), ("pressure.memory", "m"), ("pressure.io", "i"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A column, what it shows of a container, and how wide a terminal must be to have it.

    Attributes:
        column: Title and width.
        cell: From a container to what stands there.
        least: Cells of the terminal; 0 for always.
        most: Cells of the terminal up to which it is there; a wider one says it in other columns.
    """

    column: Column
    cell: Callable[[Json], Line]
    least: int = 0
    most: int = 1 << 30


def lines(frame: Json, width: int, *, rows: int, selected: int | None, panel: int) -> list[Text]:
    """The page from top to bottom, without the keys.

    Args:
        frame: The agent's answer.
        width: Cells of the terminal.
        rows: Lines for containers.
        selected: Which of the lines is shown in detail; None for none.
        panel: Lines for those details.
    """
    shown = head(frame, width)
    containers = listed(frame, "containers")[:rows]
    body = containers_table(containers, width, frame.get("at"))
    if selected is not None:
        line = body[selected + 1]
        line.pad_right(max(0, width - line.cell_len))
        line.stylize("reverse")
    shown += body
    shown += [Text()] * (rows - len(containers))
    below = [] if selected is None else panel_of(containers[selected], frame, width, most=panel)
    return shown + below + [Text()] * (panel - len(below))


# --- containers ------------------------------------------------------------------------------------------------------


def containers_table(containers: Sequence[Json], width: int | None, now: object) -> list[Text]:
    """Head and one line for each."""
    room = 1 << 20 if width is None else width
    shown = [each for each in _COLUMNS if each.least <= room <= each.most]
    nearest = _nearest if room < _VERY_WIDE else _nearest_in_words
    rows = [[*(each.cell(container) for each in shown), nearest(container, now)] for container in containers]
    columns = [
        *(each.column for each in shown),
        Column(title="nearest policy", least=18 if room < _ORDINARY else 22, usual=0),
    ]
    return table(columns, rows, width, gap=1 if room < _WIDE else 2, steady=True)


def _state(container: Json) -> Line:
    """Its health where it has a health check and runs, else the engine's state."""
    status, health = container.get("status"), container.get("health")
    state = health if status == "running" and health not in {None, "none"} else status
    return (words(printable(state or "?"), _STATES.get(str(state), "")),)


def _of_limit(container: Json) -> Line:
    value = number(_value(container, "memory.percent"))
    return (words(tenths(value), "bold red" if value is not None and value >= _HIGH else ""),)


def _worst_pressure(container: Json) -> Line:
    known = [(value, letter) for key, letter in _PRESSURES if (value := number(_value(container, key))) is not None]
    if not known:
        return (words("-", "dim"),)
    value, letter = max(known)
    return (words(f"{value:.0f}{letter}" if value >= 0.5 else "0", "yellow" if value >= 10 else ""),)  # noqa: PLR2004 - whole percents


def _trend(container: Json) -> Line:
    values = container.get("trend")
    known = [number(value) for value in values] if isinstance(values, list) else []
    if max((value for value in known if value is not None), default=0.0) < _SHOWN_AS_ZERO:
        return ()
    bars = trend(known, _TREND, least_top=_FULL)
    return (words(bars, "" if set(bars) - _FLAT else "dim"),)


def _restarts(container: Json) -> Line:
    count = container.get("restarts") or 0
    return (words(f"{count:,}", "yellow" if count else "dim"),)


def _tenths(key: str) -> Callable[[Json], Line]:
    return lambda container: (words(tenths(_value(container, key))),)


def _size(key: str) -> Callable[[Json], Line]:
    return lambda container: (words(short_size(_value(container, key))),)


def _name(container: Json) -> Line:
    return (name(printable(container.get("name") or "?")),)


def _uptime(container: Json) -> Line:
    return (words(short_duration(container.get("uptime"))),)


def _count(key: str) -> Callable[[Json], Line]:
    return lambda container: (words(reading(_value(container, key), None)),)


def _column(title: str, cells: int, *, right: bool = True) -> Column:
    return Column(title=title, least=cells, usual=cells, right=right)


_COLUMNS: Final = (
    _Shown(column=Column(title="name", least=14, usual=32), cell=_name),
    _Shown(column=_column("cpu %", 6), cell=_tenths("cpu.percent")),
    _Shown(column=_column("5 min", _TREND), cell=_trend, least=120),
    _Shown(column=_column("of lim", 6), cell=_tenths("cpu.percent_of_limit"), least=180),
    _Shown(column=_column("thr %", 5), cell=_tenths("cpu.throttled"), least=180),
    _Shown(column=_column("mem", 5), cell=_size("memory.working_set"), least=72),
    _Shown(column=_column("limit", 5), cell=_size("memory.limit"), least=92),
    _Shown(column=_column("mem %", 5), cell=_of_limit),
    _Shown(column=_column("psi", 4), cell=_worst_pressure, least=76, most=159),
    _Shown(column=_column("psi cpu", 7), cell=_tenths("pressure.cpu"), least=160),
    _Shown(column=_column("mem", 5), cell=_tenths("pressure.memory"), least=160),
    _Shown(column=_column("io", 5), cell=_tenths("pressure.io"), least=160),
    _Shown(column=_column("state", 9, right=False), cell=_state),
    _Shown(column=_column("rst", 3), cell=_restarts, least=66),
    _Shown(column=_column("up", 4), cell=_uptime, least=66),
    _Shown(column=_column("net in", 6), cell=_size("network.receive"), least=110),
    _Shown(column=_column("out", 5), cell=_size("network.transmit"), least=110),
    _Shown(column=_column("disk r", 6), cell=_size("io.read"), least=134),
    _Shown(column=_column("w", 5), cell=_size("io.write"), least=134),
    _Shown(column=_column("pids", 4), cell=_count("pids"), least=160),
)


def _nearest(container: Json, now: object) -> Line:
    """The policy that is closest to firing, and how many more there are."""
    watchers = listed(container, "watchers")
    if not watchers:
        return (words("-", "dim"),)
    more = container.get("watched_by", 0) - 1
    return *short(watchers[0], now), *([words(f" +{more}", "dim")] if more > 0 else [])


def _nearest_in_words(container: Json, now: object) -> Line:
    watchers = listed(container, "watchers")
    if not watchers:
        return (words("-", "dim"),)
    more = container.get("watched_by", 0) - 1
    return *told(watchers[0], now), *([words(f"  +{more}", "dim")] if more > 0 else [])


def summary(frame: Json) -> str:
    """How many containers there are and which of them are shown."""
    shown, total = len(listed(frame, "containers")), frame.get("total", 0)
    first = frame.get("offset", 0)
    return counted(total, "container") if shown >= total else f"{first + 1:,}-{first + shown:,} of {total:,}"


def _value(container: Json, key: str) -> object:
    return section(container, "values").get(key)
