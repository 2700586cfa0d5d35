"""What may be asked over the control socket: each command with its arguments and their bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from watchtower_agent.ports.control import Control
from watchtower_agent.serving.request import RequestError, flag, number, text

_LONGEST_HISTORY: Final = 10_000
_LONGEST_PAGE: Final = 200
_MOST_EXPLAINED: Final = 100
_MOST_PLANNED: Final = 250
_LONGEST_PAST: Final = 24 * 3600
_MOST_CONTAINERS: Final = 1_000_000
_LONGEST_PROBE: Final = 60
_USUAL_PAUSE: Final = 3600
_LONGEST_PAUSE: Final = 30 * 24 * 3600
"""Seconds. A pause that nobody remembers ends by itself."""


async def ask(control: Control, command: str, arguments: Mapping[str, object]) -> object:  # noqa: PLR0911 - one return per command
    """What the agent answers to one request; `follow` is none of these.

    Args:
        control: What knows the answers.
        command: Its name.
        arguments: As they came, unchecked.

    Raises:
        RequestError: An argument is not what the command takes.
        WatchtowerError: It can't be answered.
    """
    if command == "status":
        return await control.status()
    if command == "reload":
        return await control.reload()
    if command == "top":
        return await control.top(
            sort=text(arguments, "sort") or "policy",
            backwards=arguments.get("backwards") is True,
            offset=number(arguments, "offset", usual=0, least=0, most=_MOST_CONTAINERS),
            limit=number(arguments, "limit", usual=_LONGEST_PAGE, least=0, most=_LONGEST_PAGE),
        )
    if command in {"explain", "trigger", "revert", "prune"}:
        return await _about_a_policy(control, command, arguments)
    if command == "metrics":
        return await control.metrics(container=text(arguments, "container"))
    if command == "past":
        return await control.past(
            name=text(arguments, "name") or "",
            container=text(arguments, "container"),
            last=number(arguments, "last", usual=_LONGEST_PAST, least=1, most=_LONGEST_PAST),
        )
    if command in {"pause", "resume"}:
        return await _about_a_pause(control, command, arguments)
    if command in {"approve", "reject"}:
        return await _answer(control, command, arguments)
    if command == "lag":
        return await control.lag(seconds=number(arguments, "seconds", usual=10, least=1, most=_LONGEST_PROBE))
    return await control.history(
        limit=number(arguments, "limit", usual=50, least=1, most=_LONGEST_HISTORY),
        policy=text(arguments, "policy"),
        target=text(arguments, "target"),
    )


async def _about_a_plan(control: Control, arguments: Mapping[str, object]) -> object:
    policy, plan = text(arguments, "policy"), text(arguments, "plan")
    if flag(arguments, "dry_run"):
        return await control.prune_plan(
            policy=policy,
            plan=plan,
            offset=number(arguments, "offset", usual=0, least=0, most=_MOST_CONTAINERS),
            limit=number(arguments, "limit", usual=_MOST_PLANNED, least=0, most=_MOST_PLANNED),
        )
    if not policy or not plan:
        raise RequestError("prune needs a policy and the id of a plan that was shown; dry_run makes one")
    return await control.prune(policy=policy, plan=plan)


async def _about_a_pause(control: Control, command: str, arguments: Mapping[str, object]) -> object:
    policy, target = text(arguments, "policy"), text(arguments, "target")
    if command == "resume":
        return await control.resume(policy=policy, target=target)
    return await control.pause(
        policy=policy,
        target=target,
        length=number(arguments, "for", usual=_USUAL_PAUSE, least=1, most=_LONGEST_PAUSE),
        reason=text(arguments, "reason") or "",
    )


async def _about_a_policy(control: Control, command: str, arguments: Mapping[str, object]) -> object:
    if command == "prune":
        return await _about_a_plan(control, arguments)
    if command == "revert":
        return await control.revert(container=text(arguments, "container") or "", policy=text(arguments, "policy"))
    policy, target = text(arguments, "policy") or "", text(arguments, "target")
    if command == "trigger" and not flag(arguments, "dry_run"):
        return await control.trigger(policy=policy, target=target)
    ask_for = control.explain if command == "explain" else control.trigger_dry_run
    return await ask_for(
        policy=policy,
        target=target,
        offset=number(arguments, "offset", usual=0, least=0, most=_MOST_CONTAINERS),
        limit=number(arguments, "limit", usual=_MOST_EXPLAINED, least=0, most=_MOST_EXPLAINED),
    )


async def _answer(control: Control, command: str, arguments: Mapping[str, object]) -> object:
    approval, reason = text(arguments, "approval"), text(arguments, "reason") or ""
    if command == "approve":
        return await control.approve(approval=approval, reason=reason)
    return await control.reject(approval=approval or "", reason=reason)
