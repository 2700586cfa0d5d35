"""What a running agent answers, as a person reads it: `status` and `history`, one line a row from 80 columns on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from watchtower_agent.cli.approvals import show_asked, waiting_for_guards
from watchtower_agent.cli.breakers import show_breakers
from watchtower_agent.cli.explained_pruning import show_pruned
from watchtower_agent.cli.layout import Column, Line, Part, name, table, words
from watchtower_agent.cli.page import Page
from watchtower_agent.cli.pauses import show_paused
from watchtower_agent.cli.strategies import show_strategies
from watchtower_agent.cli.text import age, counted, duration, local_day_and_time, local_time, printable, since, size

Json = Mapping[str, Any]

_RESULT_STYLES: Final = {
    "succeeded": "green",
    "failed": "red",
    "interrupted": "yellow",
    "ineffective": "yellow",
    "abandoned": "dim",
}
_LOST: Final = {"dropped": "dropped to stay within the size limit", "dead_letters": "refused by the broker for good"}
_MOST_PROBLEMS: Final = 10
_MOST_HANGING: Final = 5
_POLICY_COLUMNS: Final = (
    Column(title="policy", least=14, usual=24),
    Column(title="mode", least=7, usual=7),
    Column(title="targets", least=7, usual=7, right=True),
    Column(title="firing", least=6, usual=16),
    Column(title="last decision", least=36, usual=0),
)
_HISTORY_COLUMNS: Final = (
    Column(title="time", least=15, usual=15),
    Column(title="policy", least=12, usual=18),
    Column(title="action", least=16, usual=24),
    Column(title="result", least=11, usual=11),
    Column(title="why", least=18, usual=0),
)


def show_status(page: Page, status: Json, now: float) -> None:
    """How the agent, engine, broker, outbox, sampling and policies are doing.

    Args:
        page: Where to.
        status: The agent's answer.
        now: Seconds since the epoch.
    """
    agent = _section(status, "agent")
    page.write(
        words(f"watchtower-agent {printable(agent.get('version', '?'))}", "bold"),
        words(" on "),
        name(printable(agent.get("host", "?"))),
        words(f", mode {printable(agent.get('mode', '?'))}, up {duration(agent.get('uptime'))}"),
    )
    page.write()
    _engine(page, _section(status, "engine"), now)
    _broker(page, status.get("mqtt"), now)
    _outbox(page, _section(status, "outbox"), agent.get("store_error"), now)
    _http(page, status.get("http"))
    _sampling(page, _section(status, "sampling"))
    containers = _section(status, "containers")
    counts = ", ".join(f"{containers.get(state, 0):,} {state}" for state in ("running", "paused", "stopped"))
    page.fact("containers", words(counts))
    policies = _section(status, "policies")
    _shared_cause(page, status)
    _policies(page, policies, now)
    show_strategies(page, status)
    show_pruned(page, status, now)
    show_paused(page, status)
    show_breakers(page, status, now)
    show_asked(page, status, now)
    _pending(page, waiting_for_guards(status), now)
    _problems(page, policies)
    _settings(page, status)


def _section(status: Json, name: str) -> Json:
    value = status.get(name)
    return value if isinstance(value, Mapping) else {}


def _engine(page: Page, engine: Json, now: float) -> None:
    source = engine.get("url_source")
    where = [name(printable(engine.get("url") or ""))]
    if source:
        where += [words(" ("), name(printable(source)), words(")")]
    if engine.get("connected") and engine.get("responding") is False:
        page.fact("engine", words("does not answer at "), *where, good=False)
    elif engine.get("connected"):
        version, begun = printable(engine.get("version", "?")), since(engine.get("since"), now)
        page.fact("engine", words(f"{version} at "), *where, words(f", since {begun}"), good=True)
    else:
        to = " to " if engine.get("url") else ""
        away = [words(f", since {since(engine['since'], now)}")] if engine.get("since") else []
        page.fact("engine", words(f"not connected{to}"), *where, *away, good=False)
        page.explain(printable(engine.get("last_error") or "trying"))
    lag = f", {duration(engine['lag'])} behind" if engine.get("lag") is not None else ""
    gaps = engine.get("gaps", 0)
    counts = f"{counted(engine.get('events'), 'event')}, {counted(gaps, 'gap')}{lag}"
    page.fact("", words(counts, "yellow" if gaps else ""))
    hanging = [each for each in _listed(engine, "hanging") if isinstance(each, Mapping)]
    for each in hanging[:_MOST_HANGING]:
        text = words(f" can't be inspected, since {since(each.get('since'), now)}: its runtime hangs")
        page.fact("", name(printable(each.get("name", "?"))), text, good=False)
    if len(hanging) > _MOST_HANGING:
        page.fact("", words(f"and {len(hanging) - _MOST_HANGING:,} more"))


def _listed(section: Json, key: str) -> Sequence[object]:
    value = section.get(key)
    return value if isinstance(value, list) else ()


def _http(page: Page, http: object) -> None:
    if not isinstance(http, Mapping):
        return  # not wanted
    address = name(printable(http.get("listen", "?")))
    if http.get("listening"):
        page.fact("http", words("/metrics, /healthz and /readyz at "), address)
    else:
        page.fact("http", words("not listening at "), address, good=False)
        page.explain(printable(http.get("error") or "trying"))


def _broker(page: Page, mqtt: object, now: float) -> None:
    if not isinstance(mqtt, Mapping):
        page.fact("broker", words("none: mqtt.url is null, events stay in the outbox file"))
        return
    url = name(printable(mqtt.get("url", "?")))
    if mqtt.get("connected"):
        page.fact("broker", url, words(f", since {since(mqtt.get('since'), now)}"), good=True)
    else:
        page.fact("broker", words("not connected to "), url, good=False)
        page.explain(printable(mqtt.get("last_error") or "trying"))
    counts = f"{counted(mqtt.get('delivered'), 'event')} delivered, {mqtt.get('in_flight', 0):,} in flight"
    parked = mqtt.get("parked", 0)
    if parked:
        counts += f", {parked:,} parked: not allowed by the broker"
    page.fact("", words(counts, "yellow" if parked else ""))


def _outbox(page: Page, outbox: Json, store_error: object, now: float) -> None:
    if store_error:
        page.fact("store", words("does not take anything"), good=False)
        page.explain(printable(store_error))
    depth = outbox.get("depth")
    if depth is None:
        page.fact("outbox", words("not known"))
    elif depth:
        oldest = outbox.get("oldest")
        age = f", the oldest for {duration(now - oldest)}" if isinstance(oldest, int | float) else ""
        page.fact("outbox", words(f"{counted(depth, 'event')} waiting ({size(outbox.get('bytes'))}){age}"))
    else:
        page.fact("outbox", words("empty"))
    for key, word in _LOST.items():
        if outbox.get(key):
            page.fact("", words(f"{outbox[key]:,} {word}", "yellow"))


def _sampling(page: Page, sampling: Json) -> None:
    every, source = duration(sampling.get("interval")), printable(sampling.get("source") or "nowhere")
    text = f"{counted(sampling.get('containers'), 'container')} every {every} from {source}"
    if sampling.get("last_duration") is not None:
        text += f", {duration(sampling['last_duration'])} a round"
    failures = _section(sampling, "failures")
    page.fact("sampling", words(text), good=False if failures else None)
    if sampling.get("left_out"):
        page.fact("", words(f"{counted(sampling.get('ticks'), 'round')}, {sampling['left_out']:,} left out", "yellow"))
    for collector, reason in failures.items():
        page.fact("", name(printable(collector), "yellow"), words(f": {printable(reason)}", "yellow"))


def _shared_cause(page: Page, status: Json) -> None:
    cause = _section(status, "shared_cause")
    if cause:
        page.fact("held", words(f"no container is acted on until {local_time(cause.get('until'))}"), good=False)
        page.explain(printable(cause.get("reason", "")))


def _policies(page: Page, policies: Json, now: float) -> None:
    items = policies.get("items", [])
    page.write()
    if not items:
        page.write(words("No policies are loaded."), indent=2)
        return
    rows = [_policy(item, now) for item in items]
    for line in table(_POLICY_COLUMNS, rows, page.width, indent=2):
        page.put(line)


def _policy(item: Json, now: float) -> tuple[Line, ...]:
    mode, firing = printable(item.get("mode", "?")), ", ".join(map(printable, item.get("firing", [])))
    return (
        (name(printable(item.get("name", "?"))),),
        (words(mode, "" if mode == "enforce" else "yellow"),),
        (words(f"{item.get('targets', 0):,}"),),
        (words(firing, "bold yellow") if firing else words("-", "dim"),),
        tuple(_last_decision(item.get("last_decision"), now)),
    )


def _last_decision(decision: object, now: float) -> list[Part]:
    if not isinstance(decision, Mapping):
        return [words("-", "dim")]
    line = [words(printable(decision.get("verb") or "")), words(" "), name(printable(decision.get("target") or ""))]
    result = decision.get("result") or decision.get("guard")
    at = decision.get("at") or decision.get("decided_at")
    if result:
        line.append(words(f" {printable(result)}", _RESULT_STYLES.get(str(result), "yellow")))
    if isinstance(at, int | float):
        line.append(words(f" {age(now - at)} ago", "dim"))
    return line


def _pending(page: Page, pending: Sequence[Json], now: float) -> None:
    if not pending:
        return
    page.write()
    page.write(words("Waiting for their guards:"), indent=2)
    for held in pending:
        release = held.get("release_at")
        until = f" until {since(release, now)}" if release is not None else ""
        verb, target, policy = (printable(held.get(key, "?")) for key in ("verb", "target", "policy"))
        guard, reason = printable(held.get("guard") or "next in turn"), printable(held.get("reason", ""))
        given = ", approved" if held.get("approval") and held.get("guard") != "mode" else ""
        end = words(f": {guard}{until}{given}")
        page.write(words(f"{verb} "), name(target), words(" by "), name(policy), end, indent=4)
        page.write(words(reason, "dim"), indent=6)


def _problems(page: Page, policies: Json) -> None:
    problems = policies.get("problems", [])
    if not problems:
        return
    going_on = (
        "the last good set stays in force" if policies.get("digest") else "no policy is active until it is mended"
    )
    page.write()
    page.write(
        words(
            f"The policy folder has {counted(policies.get('problem_count', len(problems)), 'problem')}; {going_on}:",
            "yellow",
        ),
        indent=2,
    )
    cut = [page.write(words(printable(problem)), indent=4) for problem in problems[:_MOST_PROBLEMS]]
    if any(cut) or len(problems) > _MOST_PROBLEMS:
        page.write(words("All of them in full: watchtower-agent check", "dim"), indent=4)


def _settings(page: Page, status: Json) -> None:
    settings = _section(status, "settings")
    problems, waiting = settings.get("problems", []), settings.get("waiting", [])
    if problems:
        found = counted(len(problems), "problem")
        page.write()
        page.write(
            words(f"The settings have {found}; the agent goes on as before, and would not start:", "yellow"), indent=2
        )
        for problem in problems[:_MOST_PROBLEMS]:
            page.write(words(printable(problem)), indent=4)
    elif waiting:
        keys = ", ".join(map(printable, waiting))
        page.write()
        page.write(words(f"At the next start other settings are in force: {keys}"), indent=2)


def show_history(page: Page, rows: Sequence[Json]) -> None:
    """Past actions, newest first: when, who wanted what of whom, how it ended and why."""
    if not rows:
        page.write(words("No actions, or none that match."))
        return
    for line in table(_HISTORY_COLUMNS, [_past(row) for row in rows], page.width):
        page.put(line)


def _past(row: Json) -> tuple[Line, ...]:
    result = printable(row.get("result") or "running")
    target = str(row.get("target", "?"))
    cause, reason = (printable(str(row.get(key) or "").removeprefix(f"{target}: ")) for key in ("cause", "reason"))
    why = [words("approved: ", "green")] if row.get("approval") else []
    if row.get("verb") == "prune" and row.get("result"):  # what was planned matters less than what was done
        cause, reason = reason, cause
    why.append(words(cause))
    if reason and reason != cause:
        why.append(words(f"{'; ' if cause else ''}{reason}", "dim"))
    return (
        (words(local_day_and_time(row.get("started_at"))),),
        (name(printable(row.get("policy", "?"))),),
        (words(f"{printable(row.get('verb', '?'))} "), name(printable(target))),
        (words(result, _RESULT_STYLES.get(result, "cyan")),),
        tuple(why),
    )
