"""What the agent answers to `explain` and `trigger`, as a person reads it, from 80 columns on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from watchtower_agent.cli.answer import listed, section
from watchtower_agent.cli.explained_limits import show_limits
from watchtower_agent.cli.explained_pruning import show_pruning
from watchtower_agent.cli.explained_service import show_service
from watchtower_agent.cli.layout import Column, Line, Part, name, table, words
from watchtower_agent.cli.page import Page
from watchtower_agent.cli.quantities import entry_of, number, reading, short_duration
from watchtower_agent.cli.text import counted, printable, since
from watchtower_agent.cli.watchers import measured_limit, standing
from watchtower_agent.serving.client import ControlClient

Json = Mapping[str, Any]

MOST_SHOWN: Final = 20
"""Targets that are shown to people; programs get all."""
LARGEST_PAGE: Final = 100
"""Targets that the agent tells at once."""
_MARKS: Final = {"passes": ("✓", "green"), "holds": ("✗", "bold yellow"), "not_asked": ("·", "dim")}
_GUARD_WIDTH: Final = 17
_LABEL_WIDTH: Final = 11
_STYLES: Final = {"held": "yellow", "never": "yellow", "off": "yellow", "not_selected": "yellow", "unknown": "dim"}
_COLUMNS: Final = (
    Column(title="target", least=14, usual=24),
    Column(title="how close", least=14, usual=24),
    Column(title="what comes next", least=46, usual=0),
)
_RESULT_STYLES: Final = {"begun": "green", "told": "green", "held": "yellow", "not_done": "yellow", "waits": "yellow"}
_RESULTS: Final = {"not_done": "not done", "waits": "waits", "dropped": "given up"}


def whole(client: ControlClient, command: str, **asked: object) -> Json:
    """The answer with all targets, however many there are."""
    first = client.ask(command, **asked, offset=0, limit=LARGEST_PAGE)
    targets = list(listed(first, "targets"))
    while targets and len(targets) < (number(first.get("total")) or 0):
        page = listed(client.ask(command, **asked, offset=len(targets), limit=LARGEST_PAGE), "targets")
        if not page:
            break
        targets += page
    return {**first, "targets": targets, "total": len(targets)}


def show_explained(page: Page, answer: Json, *, one: bool) -> None:
    """The policy with one target in full, or with the first of all its targets on a line each.

    Args:
        page: Where to.
        answer: The agent's.
        one: One target was asked for, by name.
    """
    policy, targets = section(answer, "policy"), listed(answer, "targets")
    total = int(number(answer.get("total")) or 0)
    alone = targets[0] if one or (total == 1 and targets) else None
    _head(page, policy, alone, by_hand=bool(answer.get("by_hand")))
    problems = int(number(answer.get("problems")) or 0)
    if problems:
        what = f"The policy folder has {counted(problems, 'problem')}: what is new in it is not in force."
        page.paragraph(words("  "), text=what, style="yellow")
    page.write()
    if alone is not None:
        _in_full(page, policy, alone, answer)
    else:
        _many(page, policy, targets, total, answer)
    if answer.get("by_hand"):
        page.write()
        page.write(words("Nothing was done: this is what would be, at this moment."))
        if total > 1:
            page.write(words("One comes after the other; what the first use of budgets is not counted."))


def show_triggered(page: Page, answer: Json) -> None:
    """What became of a policy that was set off by hand, target by target.

    Args:
        page: Where to.
        answer: The agent's.
    """
    policy = name(printable(answer.get("policy") or "?"), "bold")
    targets = listed(answer, "targets")
    if not answer.get("set_off"):
        page.write(words("Nothing was set off: the policy or the container has gone meanwhile."))
        return
    total = int(number(answer.get("total")) or len(targets))
    page.write(policy, words(" is set off by hand:"))
    for each in targets[: 5 * MOST_SHOWN]:
        show_result(page, each, answer.get("at"))
    if total > len(targets[: 5 * MOST_SHOWN]):
        page.write(words(f"  and {total - len(targets[: 5 * MOST_SHOWN]):,} more; all of them: --json", "dim"))


def show_result(page: Page, one: Json, now: object) -> None:
    """What became of one action that a person wants.

    Args:
        page: Where to.
        one: As the agent tells it.
        now: When it did, seconds since the epoch.
    """
    result = str(one.get("result"))
    word = printable(_RESULTS.get(result, result))
    if one.get("guard"):
        word += f" by {printable(one['guard'])}" if result in {"held", "waits"} else f" ({printable(one['guard'])})"
    head = (
        words(f"  {printable(one.get('verb') or '?')} "),
        name(printable(one.get("target") or "?")),
        words(f" {word}", _RESULT_STYLES.get(result, "dim")),
        words(_until(one.get("release_at"), now)),
    )
    page.write(*head)
    if one.get("reason") and result != "begun":
        page.paragraph(words("    "), text=printable(one["reason"]), style="dim")


# --- the policy -------------------------------------------------------------------------------------------------------


def _head(page: Page, policy: Json, alone: Json | None, *, by_hand: bool) -> None:
    does, mode = printable(policy.get("does") or "?"), printable(policy.get("mode") or "?")
    line: list[Part] = [name(printable(policy.get("name") or "?"), "bold"), words(f" → {does}")]
    if policy.get("notifies") and does != "notify":
        line.append(words(" and notify"))
    if mode != "enforce":
        line.append(words(f" ({mode})", "yellow"))
    if alone is not None:
        line += [words(" on "), name(printable(alone.get("target") or "?"), "bold")]
    line.append(words(", if it were set off by hand now" if by_hand else "", "yellow"))
    page.write(*line)
    if not by_hand:
        page.paragraph(words("  "), text=_trigger(policy), style="dim")


def _trigger(policy: Json) -> str:
    condition = printable(policy.get("condition") or "")
    match policy.get("trigger"):
        case "on":
            events = policy.get("on")
            said = ", ".join(map(printable, events)) if isinstance(events, list) else "events"
            return f"on {said}" + (f" where {condition}" if condition else "")
        case "schedule":
            return f"schedule {printable(policy.get('schedule') or '?')}"
        case "scale":
            return f"service {printable(policy.get('service') or '?')}, at every sample"
        case "resize":
            return "at every sample"
        case _:
            hold = f", for {short_duration(policy['for'])}" if policy.get("for") else ""
            return f"when {condition}{hold}"


# --- one target -------------------------------------------------------------------------------------------------------


def _in_full(page: Page, policy: Json, target: Json, answer: Json) -> None:
    coming = section(target, "next")
    style = _STYLES.get(str(coming.get("outlook")), "bold")
    text = printable(coming.get("words") or "?") + _moment(coming, answer.get("at"))
    if coming.get("budget"):
        text += f"; {printable(coming['budget'])}"
    page.paragraph(_label("next"), text=text, style=style)
    mismatches = target.get("mismatches")
    for each in mismatches if isinstance(mismatches, list) else []:
        page.paragraph(_label(""), *_mark("holds"), text=printable(each))
    wanted = section(target, "wanted")
    if wanted:
        begun = f", since {since(wanted.get('since'), answer.get('at'))}"
        page.paragraph(_label("wanted"), text=printable(wanted.get("reason") or "?") + begun)
    _strategy(page, target, answer)
    if target.get("condition") and not answer.get("by_hand"):
        _condition(page, policy, section(target, "condition"))
    guards = listed(target, "guards")
    if guards:
        page.write()
    asked = [each for each in guards if each.get("answer") != "not_asked"]
    for each in asked:
        answered, guard = str(each.get("answer")), printable(each.get("guard") or "?")
        text = printable(each.get("reason") or "") + _until(each.get("release_at"), answer.get("at"))
        style = "yellow" if answered == "holds" else ""
        page.paragraph(words("  "), *_mark(answered), words(f"{guard:{_GUARD_WIDTH}}", style), text=text)
    others = ", ".join(printable(each.get("guard") or "?") for each in guards if each not in asked)
    if others:
        about = f"not asked about {printable(wanted.get('verb') or policy.get('does') or 'it')}: "
        page.paragraph(words("  "), *_mark("not_asked"), text=about + others, style="dim")


def _strategy(page: Page, target: Json, answer: Json) -> None:
    """What a policy that scales, resizes or prunes knows of it."""
    if target.get("service"):
        show_service(page, section(target, "service"))
    if target.get("prune"):
        show_pruning(page, section(target, "prune"), answer.get("at"))
    if target.get("limits"):
        show_limits(page, section(target, "limits"))


def _condition(page: Page, policy: Json, condition: Json) -> None:
    page.write()
    page.paragraph(_label("condition" if policy.get("trigger") != "on" else "where"), text=_how(policy, condition))
    for each in listed(condition, "comparisons"):
        about = printable(each.get("name") or "?")
        value, true = each.get("value"), each.get("true")
        said = f"now {reading(value, entry_of(about))}" if value is not None else "now not known"
        limit = measured_limit(each)
        said += f" against {limit}" if limit else ""
        said = "known with the event" if value is None and about.startswith("event.") else said
        sign, threshold = printable(each.get("sign") or "?"), printable(each.get("threshold") or "?")
        mark = _mark("passes") if true else _mark("not_asked") if true is None else (words("✗ ", "dim"),)
        page.paragraph(_label(""), *mark, text=f"{about} {sign} {threshold}, {said}")
    left = int(number(condition.get("comparisons_left_out")) or 0)
    if left:
        page.write(_label(""), words(f"  and {left:,} more", "dim"))


def _how(policy: Json, condition: Json) -> str:
    """How the whole condition stands."""
    truth, hold = condition.get("true"), condition.get("for")
    if policy.get("trigger") == "on":
        return {True: "true", False: "not true"}.get(truth, "to be seen with the event")  # type: ignore[arg-type] # JSON
    if condition.get("firing") and truth is False:
        return "not true any more; it fires until the next sample, or for as long as keep_for says"
    if condition.get("firing"):
        return f"fires, true for {short_duration(condition.get('held_for'))}"
    if truth:
        return f"true for {short_duration(condition.get('held_for'))} of {short_duration(hold)}"
    if truth is None:
        return "not known"
    ratio = number(condition.get("closeness"))
    return "not true" if ratio is None else f"not true, {ratio * 100:.0f} % of the way to it"


# --- many targets -----------------------------------------------------------------------------------------------------


def _many(page: Page, policy: Json, targets: object, total: int, answer: Json) -> None:
    rows = [_row(policy, each, answer) for each in targets] if isinstance(targets, list) else []
    if not rows:
        page.write(words("It selects no container that there is.", "yellow"), indent=2)
        return
    for line in table(_COLUMNS, rows, page.width, indent=2):
        page.put(line)
    page.write()
    more = f"and {total - len(rows):,} more; " if total > len(rows) else ""
    whose = printable(policy.get("name") or "POLICY")
    how = f"trigger {whose} TARGET --dry-run" if answer.get("by_hand") else f"explain {whose} TARGET"
    page.write(words(f"{more}one in full: watchtower-agent {how}", "dim"), indent=2)


def _row(policy: Json, target: Json, answer: Json) -> tuple[Line, ...]:
    condition, coming = section(target, "condition"), section(target, "next")
    seen: dict[str, object] = {
        "does": policy.get("does"),
        "under_way": bool(target.get("under_way")),
        "guard": target.get("guard") if target.get("wanted") else None,
        **condition,
    }
    if policy.get("trigger") != "when":
        whatever = ["schedule" if policy.get("trigger") == "schedule" else "every sample"]
        seen["on"] = policy.get("on") if policy.get("trigger") == "on" else whatever
    text, style = standing(seen)
    if target.get("wanted") and not (seen["guard"] or seen["under_way"]):
        text, style = "wanted", "bold yellow"
    return (
        (name(printable(target.get("target") or "?")),),
        (words(text, style),),
        (
            words(printable(coming.get("words") or "?"), _STYLES.get(str(coming.get("outlook")), "")),
            words(_moment(coming, answer.get("at")), "dim"),
        ),
    )


# --- pieces -----------------------------------------------------------------------------------------------------------


def _label(text: str) -> Part:
    return words(f"  {text:{_LABEL_WIDTH}}", "dim")


def _mark(answered: str) -> Line:
    mark, style = _MARKS.get(answered, ("?", ""))
    return (words(f"{mark} ", style),)


def _until(at: object, now: object) -> str:
    """`, until 14:13:38 (18s)`, where that is known."""
    release, present = number(at), number(now)
    if release is None or present is None or release <= present:
        return ""
    return f", until {since(release, present)} ({short_duration(release - present)})"


def _moment(coming: Json, now: object) -> str:
    """When that is, unless the words say it."""
    moment, present = number(coming.get("at")), number(now)
    if coming.get("outlook") == "time":
        return ""
    return f" ({since(moment, present)})" if moment is not None and present is not None and moment > present else ""
