"""What a running agent answers, as a person reads it: `status` and `history` in 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from watchtower_agent.cli.text import counted, duration, local_day_and_time, local_time, printable, size

Json = Mapping[str, Any]

_RESULT_STYLES: Final = {"succeeded": "green", "failed": "red", "interrupted": "yellow", "abandoned": "dim"}


def terminal(stream: TextIO) -> Console:
    """A console on the stream: colours on a terminal only, nothing in a text taken for markup."""
    return Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=False)


def show_status(console: Console, status: Json, now: float) -> None:
    """How the agent, engine, broker, outbox, sampling and policies are doing.

    Args:
        console: Where to.
        status: The agent's answer.
        now: Seconds since the epoch.
    """
    agent = _section(status, "agent")
    title = Text(f"watchtower-agent {printable(agent.get('version', '?'))}", style="bold")
    title.append(
        f" on {printable(agent.get('host', '?'))}, mode {agent.get('mode', '?')}, up {duration(agent.get('uptime'))}",
        style="not bold",
    )
    console.print(title)
    console.print()
    facts = Table.grid(padding=(0, 1))
    facts.add_column(style="dim", width=10)
    facts.add_column(width=1)
    facts.add_column(ratio=1)
    _engine(facts, _section(status, "engine"))
    _broker(facts, status.get("mqtt"))
    _outbox(facts, _section(status, "outbox"), agent.get("store_error"), now)
    _sampling(facts, _section(status, "sampling"))
    containers = _section(status, "containers")
    counts = ", ".join(f"{containers.get(state, 0):,} {state}" for state in ("running", "paused", "stopped"))
    facts.add_row("containers", "", counts)
    console.print(Padding(facts, (0, 0, 0, 2)))
    policies = _section(status, "policies")
    _policies(console, policies, now)
    _pending(console, status.get("pending", []))
    _problems(console, policies.get("problems", []))


def _section(status: Json, name: str) -> Json:
    value = status.get(name)
    return value if isinstance(value, Mapping) else {}


def _mark(*, good: bool) -> Text:
    return Text("✓", style="green") if good else Text("✗", style="bold red")


def _engine(facts: Table, engine: Json) -> None:
    connected = bool(engine.get("connected"))
    source = engine.get("url_source")
    where = printable(engine.get("url") or "") + (f" ({printable(source)})" if source else "")
    if connected:
        text = f"{printable(engine.get('version', '?'))} at {where}, since {local_time(engine.get('since'))}"
    else:
        text = f"not connected{' to ' if where else ''}{where}: {printable(engine.get('last_error') or 'trying')}"
    facts.add_row("engine", _mark(good=connected), text)
    lag = f", {duration(engine['lag'])} behind" if engine.get("lag") is not None else ""
    gaps = engine.get("gaps", 0)
    text = f"{counted(engine.get('events'), 'event')}, {counted(gaps, 'gap')}{lag}"
    facts.add_row("", "", Text(text, style="yellow" if gaps else ""))


def _broker(facts: Table, mqtt: object) -> None:
    if not isinstance(mqtt, Mapping):
        facts.add_row("broker", "", "none: mqtt.url is null, events stay in the outbox file")
        return
    connected = bool(mqtt.get("connected"))
    url, since = printable(mqtt.get("url", "?")), local_time(mqtt.get("since"))
    if connected:
        text = f"{url}, since {since}"
    else:
        text = f"not connected to {url}: {printable(mqtt.get('last_error') or 'trying')}"
    facts.add_row("broker", _mark(good=connected), text)
    counts = f"{counted(mqtt.get('delivered'), 'event')} delivered, {mqtt.get('in_flight', 0):,} in flight"
    parked = mqtt.get("parked", 0)
    if parked:
        counts += f", {parked:,} parked: the broker does not allow them"
    facts.add_row("", "", Text(counts, style="yellow" if parked else ""))


def _outbox(facts: Table, outbox: Json, store_error: object, now: float) -> None:
    if store_error:
        facts.add_row("store", _mark(good=False), printable(store_error))
    depth = outbox.get("depth", 0)
    if depth:
        oldest = outbox.get("oldest")
        age = f", the oldest for {duration(now - oldest)}" if isinstance(oldest, int | float) else ""
        facts.add_row("outbox", "", f"{counted(depth, 'event')} waiting ({size(outbox.get('bytes'))}){age}")
    else:
        facts.add_row("outbox", "", "empty")
    lost = [f"{outbox[name]:,} {word}" for name, word in _LOST.items() if outbox.get(name)]
    if lost:
        facts.add_row("", "", Text(", ".join(lost), style="yellow"))


_LOST: Final = {"dropped": "dropped to stay within the size limit", "dead_letters": "refused by the broker for good"}


def _sampling(facts: Table, sampling: Json) -> None:
    every, source = duration(sampling.get("interval")), printable(sampling.get("source") or "nowhere")
    text = f"{counted(sampling.get('containers'), 'container')} every {every} from {source}"
    if sampling.get("last_duration") is not None:
        text += f", {duration(sampling['last_duration'])} a round"
    if sampling.get("overruns"):
        text += f", {sampling['overruns']:,} of {sampling.get('ticks', 0):,} late"
    failures = _section(sampling, "failures")
    facts.add_row("sampling", _mark(good=False) if failures else "", text)
    for name, reason in failures.items():
        facts.add_row("", "", Text(f"{printable(name)}: {printable(reason)}", style="yellow"))


def _policies(console: Console, policies: Json, now: float) -> None:
    items = policies.get("items", [])
    console.print()
    if not items:
        console.print("  No policies are loaded.")
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="dim")
    table.add_column("policy", overflow="fold")
    table.add_column("mode")
    table.add_column("targets", justify="right")
    table.add_column("firing", overflow="fold")
    table.add_column("last decision", overflow="fold")
    for item in items:
        firing = ", ".join(printable(name) for name in item.get("firing", []))
        table.add_row(
            printable(item.get("name", "?")),
            Text(str(item.get("mode", "?")), style="" if item.get("mode") == "enforce" else "yellow"),
            f"{item.get('targets', 0):,}",
            Text(firing or "-", style="bold yellow" if firing else "dim"),
            _last_decision(item.get("last_decision"), now),
        )
    console.print(Padding(table, (0, 0, 0, 2)))


def _last_decision(decision: object, now: float) -> Text:
    if not isinstance(decision, Mapping):
        return Text("-", style="dim")
    said = [printable(decision[name]) for name in ("verb", "target") if decision.get(name)]
    result = decision.get("result") or decision.get("guard")
    at = decision.get("at") or decision.get("decided_at")
    text = Text(" ".join(said))
    if result:
        text.append(f" {printable(result)}", style=_RESULT_STYLES.get(str(result), "yellow"))
    if isinstance(at, int | float):
        text.append(f" {duration(now - at)} ago", style="dim")
    return text


def _pending(console: Console, pending: Sequence[Json]) -> None:
    if not pending:
        return
    console.print()
    console.print("  Waiting for their guards:")
    for held in pending:
        release = held.get("release_at")
        until = f" until {local_time(release)}" if release is not None else ""
        verb, target, policy = (printable(held.get(name, "?")) for name in ("verb", "target", "policy"))
        guard, reason = printable(held.get("guard") or "next in turn"), printable(held.get("reason", ""))
        text = f"{verb} {target} by {policy}: {guard}{until}, {reason}"
        console.print(Padding(Text(text), (0, 0, 0, 4)))


def _problems(console: Console, problems: Sequence[object]) -> None:
    if not problems:
        return
    console.print()
    console.print(Text("  The policy folder has problems; the last good set stays in force:", style="yellow"))
    for problem in problems:
        console.print(Padding(Text(printable(problem), overflow="fold"), (0, 0, 0, 4)))


def show_history(console: Console, rows: Sequence[Json]) -> None:
    """Past actions, newest first: when, who wanted what of whom, how it ended and why."""
    if not rows:
        console.print("No actions, or none that match.")
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="dim")
    table.add_column("time", no_wrap=True)
    table.add_column("policy", overflow="fold", max_width=18)
    table.add_column("action", overflow="fold", max_width=20)
    table.add_column("result", no_wrap=True)
    table.add_column("why", overflow="fold", ratio=1)
    for row in rows:
        result = row.get("result") or "running"
        cause, reason = printable(row.get("cause") or ""), printable(row.get("reason") or "")
        why = Text(cause)
        if reason and reason != cause:
            why.append(f"{'; ' if cause else ''}{reason}", style="dim")
        table.add_row(
            local_day_and_time(row.get("started_at")),
            printable(row.get("policy", "?")),
            f"{printable(row.get('verb', '?'))} {printable(row.get('target', '?'))}",
            Text(str(result), style=_RESULT_STYLES.get(str(result), "cyan")),
            why,
        )
    console.print(table)
