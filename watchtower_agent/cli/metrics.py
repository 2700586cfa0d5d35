"""`metrics`: every name that a policy can use, and its present value where an agent runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from watchtower_agent.cli.layout import Column, Line, name, table, words
from watchtower_agent.cli.page import Page
from watchtower_agent.cli.quantities import UNKNOWN, reading
from watchtower_agent.cli.text import printable
from watchtower_agent.policies.catalogue import ATTRIBUTES, CATALOGUE, LABELS, Entry, Scope

Json = Mapping[str, Any]

_NAME, _TYPE, _UNIT, _NOW, _MEANING = (
    Column(title="name", least=25, usual=27),
    Column(title="type", least=8, usual=8),
    Column(title="unit", least=4, usual=4),
    Column(title="now", least=16, usual=28),
    Column(title="meaning", least=12, usual=0),
)
_TITLES: Final = {
    Scope.CONTAINER: "a container",
    Scope.HOST: "the host",
    Scope.ENGINE: "the engine",
    Scope.EVENT: "an event (where only)",
}
_KEYED: Final = {
    Scope.CONTAINER: (f'{LABELS}["k"]', "a label; a missing one is the empty text"),
    Scope.EVENT: (f'{ATTRIBUTES}["k"]', "an attribute of the event; a missing one is the empty text"),
}


def show_metrics(page: Page, found: Json) -> None:
    """The catalogue as a table, by what the names are about.

    Args:
        page: Where to.
        found: The agent's answer; empty where none runs: then there are no present values.
    """
    columns = (_NAME, _TYPE, _UNIT, *([_NOW] if found else []), _MEANING)
    rows: list[tuple[Line, ...]] = []
    titles: dict[int, Line] = {}
    for scope, title in _TITLES.items():
        titles[len(rows)] = _title(scope, title, found)
        rows += [_row(entry, found) for entry in CATALOGUE.values() if entry.scope is scope]
        if scope in _KEYED:
            keyed, meaning = _KEYED[scope]
            empty: Line = (words(""),)
            now = [empty] if found else []
            rows.append(((words(keyed),), (words("text"),), empty, *now, (words(meaning),)))
    head, *lines = table(columns, rows, page.width, indent=2)
    page.put(head)
    for number, line in enumerate(lines):
        if number in titles:
            page.write()
            page.write(*titles[number])
        page.put(line)


def _title(scope: Scope, title: str, found: Json) -> Line:
    if scope is Scope.CONTAINER and found.get("container") is not None:
        return words(title, "bold"), words(": "), name(printable(found["container"]))
    if scope is Scope.CONTAINER and found:
        return words(title, "bold"), words(", over all: from the least to the most")
    return (words(title, "bold"),)


def _row(entry: Entry, found: Json) -> tuple[Line, ...]:
    now = [_now(entry, found)] if found else []
    return (
        (words(entry.name),),
        (words(str(entry.type)),),
        (words(entry.unit),),
        *now,
        (words(entry.meaning + (f": {', '.join(entry.values)}" if entry.values else "")),),
    )


def _now(entry: Entry, found: Json) -> Line:
    values, ranges = found.get("values", {}), found.get("ranges", {})
    if entry.scope is Scope.EVENT:
        return (words(""),)
    if entry.name in values:
        value = reading(values[entry.name], entry)
        return (name(value, "dim" if value == UNKNOWN else ""),)
    over = ranges.get(entry.name) or {}
    if over.get("words"):
        return (words(", ".join(f"{count:,} {printable(word)}" for word, count in over["words"].items())),)
    if "different" in over:
        return (words(f"{over['different']:,} different"),)
    if "least" in over:
        least, most = reading(over["least"], entry), reading(over["most"], entry)
        return (words(least if least == most else f"{least} … {most}"),)
    return (words(UNKNOWN, "dim"),)


def as_json(found: Json, why_none: str) -> dict[str, Any]:
    """The catalogue for programs.

    Args:
        found: The agent's answer; empty where none runs.
        why_none: Why there are no present values; empty when there are.
    """
    values, ranges = found.get("values", {}), found.get("ranges", {})
    return {
        "values_from_agent": bool(found),
        "reason": why_none or None,
        "container": found.get("container"),
        "metrics": [
            {
                "name": entry.name,
                "scope": entry.scope.value,
                "type": str(entry.type),
                "unit": entry.unit,
                "meaning": entry.meaning,
                "sampled": entry.sampled,
                "values": list(entry.values),
                "now": values.get(entry.name),
                "range": ranges.get(entry.name),
            }
            for entry in CATALOGUE.values()
        ],
    }
