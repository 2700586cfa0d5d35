"""Events as readable lines: when, how bad, what, whom, and a sentence. Cause and effect share the short id in front."""

from __future__ import annotations

import signal
import textwrap
from collections.abc import Mapping
from typing import Any, Final

from watchtower_agent.cli.text import local_time, printable, since

_KIND_WIDTH: Final = 23
_ID_LENGTH: Final = 6
_LEAST_WIDTH: Final = 20
_LONGEST_SENTENCE: Final = 400
_MARKS: Final = {"info": "  ", "warning": "! ", "critical": "!!"}
_COLOURS: Final = {"warning": "33", "critical": "1;31"}

_ENDS: Final = {
    0: "ended normally",
    137: "ended with exit code 137 (killed)",
    139: "ended with exit code 139 (segmentation fault)",
    143: "ended with exit code 143 (terminated)",
}
_DONE: Final = {
    "attach": "was attached to",
    "commit": "was committed to an image",
    "connect": "was connected",
    "create": "was created",
    "delete": "was deleted",
    "destroy": "was removed",
    "disable": "was disabled",
    "disconnect": "was disconnected",
    "enable": "was enabled",
    "exec_create": "is about to run a command",
    "exec_die": "ran a command to its end",
    "exec_start": "runs a command",
    "export": "was exported",
    "import": "was imported",
    "load": "was loaded",
    "mount": "was mounted",
    "oom": "ran out of memory, the kernel killed a process of it",
    "pause": "was paused",
    "prune": "was pruned",
    "pull": "was pulled",
    "push": "was pushed",
    "reload": "was reloaded",
    "remove": "was removed",
    "restart": "was restarted",
    "save": "was saved",
    "start": "was started",
    "stop": "was stopped",
    "tag": "was tagged",
    "top": "had its processes listed",
    "unmount": "was unmounted",
    "unpause": "was resumed",
    "untag": "was untagged",
    "update": "was updated",
}
_SAY_ALL: Final = frozenset(
    {
        *("scheduled", "missed", "triggered", "breaker_open", "breaker_half_open", "breaker_closed"),
        *("prune_plan", "pruned", "prune_kept", "prune_failed", "prune_ineffective"),
    }
)
"""Actions of policies whose reason tells them."""
_APPROVAL: Final = {
    "approval_given": "is allowed to",
    "approval_rejected": "is not allowed to",
    "approval_expired": "asks no longer to",
    "approval_withdrawn": "asks no longer to",
}
_FOUND: Final = {"replay": " (while nobody listened)", "synthetic": " (found by comparing)"}


def event_line(topic: str, event: Mapping[str, Any], *, width: int | None = None, colours: bool = False) -> str:
    """One event as a line, or as few lines as fit the width, continued under the sentence.

    Args:
        topic: Where it was published.
        event: The CloudEvent.
        width: Columns to wrap at; None writes one line, however long.
        colours: Paint the severity and dim the time, for a terminal.
    """
    kind, action = _kind_and_action(topic, event)
    severity = str(event.get("severity", "info"))
    name = printable(f"{kind}/{action}")
    correlation = printable(event.get("correlationid", ""))[-_ID_LENGTH:]
    when = local_time(event.get("time"))
    sentence = printable(event_sentence(topic, event))[:_LONGEST_SENTENCE]
    indent = len(when) + 1 + _ID_LENGTH + 1 + 3 + _KIND_WIDTH + 1
    if width is not None:
        parts = textwrap.wrap(sentence, max(width - indent, _LEAST_WIDTH)) or [""]
        sentence = ("\n" + " " * indent).join(parts)
    mark = _MARKS.get(severity, "  ")
    if colours and (paint := _COLOURS.get(severity)):
        mark, name = f"\x1b[{paint}m{mark}", f"{name:<{_KIND_WIDTH}}\x1b[0m"
    head = f"{when} {correlation:<{_ID_LENGTH}}"
    if colours:
        head = f"\x1b[2m{head}\x1b[0m"
    return f"{head} {mark} {name:<{_KIND_WIDTH}} {sentence}"


def event_sentence(topic: str, event: Mapping[str, Any]) -> str:
    """What happened, in a sentence without its full stop."""
    kind, action = _kind_and_action(topic, event)
    data = event.get("data")
    data = data if isinstance(data, Mapping) else {}
    if kind == "policy" and "policy" in data:
        say = _approval_sentence if action.startswith("approval_") else _policy_sentence
        return say(action, data, event.get("time"))
    if kind == "action":
        return _action_sentence(action, data)
    if kind in {"engine", "agent", "policy"}:
        return str(data.get("reason", action))
    found = _FOUND.get(str(event.get("origin")), "")
    return f"{_name(event)} {_engine_sentence(kind, action, data)}{found}"


def missed_line(missed: object) -> str:
    """What a follower is told in place of the events it was too slow for."""
    return f"… {printable(missed)} events were not shown: this terminal was too slow for them"


def _kind_and_action(topic: str, event: Mapping[str, Any]) -> tuple[str, str]:
    parts = topic.rsplit("/event/", maxsplit=1)[-1].split("/")
    if len(parts) >= 2:  # noqa: PLR2004 - kind and action
        return parts[0], parts[1]
    words = str(event.get("type", "")).split(".")
    return (words[2], words[3]) if len(words) >= 4 else ("event", "?")  # noqa: PLR2004 - io.watchtower.kind.action


def _name(event: Mapping[str, Any]) -> str:
    return str(event.get("subject", "")).partition("/")[2] or "it"


def _engine_sentence(kind: str, action: str, data: Mapping[str, Any]) -> str:
    if kind == "container":
        if action == "die":
            code = data.get("exit_code")
            return _ENDS.get(code, f"ended with exit code {code}") if isinstance(code, int) else "ended"
        if action == "kill":
            return f"was sent {_signal_name(data.get('signal'))}"
        if action == "health_status":
            return f"is {data['health']}" if "health" in data else "was checked for its health"
        if action == "rename":
            return f"is the new name of {data.get('old_name', 'it')}"
    attributes = data.get("attributes")
    attributes = attributes if isinstance(attributes, Mapping) else {}
    container = attributes.get("container")
    whom = f", container {str(container)[:12]}" if container else ""
    return _DONE.get(action, action.replace("_", " ")) + whom


def _signal_name(number: object) -> str:
    try:
        return signal.Signals(int(str(number))).name
    except ValueError:
        return f"signal {number}" if number else "a signal"


def _policy_sentence(action: str, data: Mapping[str, Any], at: object) -> str:
    policy, whom, verb = data["policy"], _target(data), _verb(data, "act on")
    reason = data.get("reason", "")
    match action:
        case "firing":
            return f"{policy} on {whom}: {reason}"
        case "resolved":
            return f"{policy} on {whom} is over: {reason}"
        case "decision":
            return f"{policy} wants to {verb} {whom}: {reason}"
        case "held":
            until = f", until {since(data['release_at'], at)}" if "release_at" in data else ""
            return f"{policy} may not {verb} {whom} ({data.get('guard', 'guard')}{until}): {reason}"
        case "dropped":
            return f"{policy} no longer wants to {verb} {whom}: {reason}"
    return f"{policy}: {reason}" if action in _SAY_ALL else f"{policy} {action.replace('_', ' ')}: {reason}"


def _approval_sentence(action: str, data: Mapping[str, Any], at: object) -> str:
    policy, verb, whom = data["policy"], _verb(data, "act on"), _target(data)
    about, reason = data.get("approval", "?"), data.get("reason", "")
    if action == "approval_asked":
        return f"{policy} asks to {verb} {whom} (approve {about}, until {since(data.get('expires_at'), at)}): {reason}"
    return f"{policy} {_APPROVAL.get(action, action)} {verb} {whom} ({about}): {reason}"


def _action_sentence(action: str, data: Mapping[str, Any]) -> str:
    whom, verb, reason = _target(data), _verb(data, "action"), data.get("reason", "")
    if action == "notify":
        return f"{data.get('policy', 'policy')} on {whom}: {reason}"
    if action == "started":
        return f"{verb} {whom}, begun"
    return f"{verb} {whom}, {action}: {reason}"


def _verb(data: Mapping[str, Any], otherwise: str) -> str:
    verb = str(data.get("verb", otherwise))
    return "restart the engine of" if verb == "restart_engine" else verb


def _target(data: Mapping[str, Any]) -> str:
    target = data.get("target")
    return str(target.get("name", "it")) if isinstance(target, Mapping) else "it"
