"""Containers that get into trouble as often as a test likes, one for each verb, and the policies that help them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.engine import IMAGE, PrivateEngine
from watchtower_agent.model.decision import Verb
from watchtower_agent.policies.guards.ledger import ATTEMPTS

COOLDOWN = 1.0
"""Seconds; of every policy here."""

DEAF = ("sleep", "86400")
"""As the main process it ignores TERM: its stop takes the whole stop timeout."""
MENDS = ("sh", "-c", "rm -f /tmp/bad; exec sleep 86400")
"""Deaf as well, and healthy again after a restart."""
KILLED_CHILD = (
    "sh",
    "-c",
    "trap 'exit 0' TERM; while :; do if test -e /tmp/go; then rm /tmp/go; tail /dev/zero; fi; sleep 0.05; done",
)
"""Its child takes all the memory that there is, when it is told to, and is killed for it; it lives on itself."""
SICKENS = ("--health-cmd=test ! -e /tmp/bad", "--health-interval=1s", "--health-retries=1")


def crash(engine: PrivateEngine, name: str) -> None:
    """Let it end as a crash does: the engine is not asked, so it tells of no signal."""
    os.kill(_pid(engine, name), signal.SIGKILL)


def sicken(engine: PrivateEngine, name: str) -> None:
    """Let its next health check fail."""
    Path(f"/proc/{_pid(engine, name)}/root/tmp/bad").touch()


def _pid(engine: PrivateEngine, name: str) -> int:
    return int(engine.api("GET", f"/containers/{name}/json")["State"]["Pid"])


def _asked_for(verb: str) -> Callable[[PrivateEngine, str], None]:
    return lambda engine, name: engine.api("POST", f"/containers/{name}/{verb}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One kind of it.

    Attributes:
        case: Names its container and its policy.
        verb: What helps. The engine's word for having done it is the same.
        make: Brings the container into trouble.
        told: What the engine tells of that, first.
        trigger: The policy's.
        then: What the policy does.
        status: Of the container once it was helped, as the engine has it.
        command: What the container runs.
        options: Of its creation.
        begun: Whether it is started at first.
    """

    case: str
    verb: Verb
    make: Callable[[PrivateEngine, str], None]
    told: str
    trigger: str
    then: str
    status: str = "running"
    command: tuple[str, ...] = DEAF
    options: tuple[str, ...] = ()
    begun: bool = True


TROUBLES = (
    Trouble(
        case="revive",
        verb=Verb.RESTART,
        make=crash,
        told="die",
        trigger="on: {container: die}",
        then="restart: {stop_timeout: 1s}",
    ),
    Trouble(
        case="heal",
        verb=Verb.RESTART,
        make=sicken,
        told="health_status",
        trigger='when: health == "unhealthy"',
        then="restart: {stop_timeout: 3s}",  # the engine is still at it when a killed agent is back
        command=MENDS,
        options=SICKENS,
    ),
    Trouble(
        case="begin", verb=Verb.START, make=crash, told="die", trigger="on: {container: die}", then="start: {}"
    ),
    Trouble(
        case="halt",
        verb=Verb.STOP,
        make=_asked_for("start"),
        told="start",
        trigger="on: {container: start}",
        then="stop: {stop_timeout: 1s}",
        status="exited",
        begun=False,
    ),
    Trouble(
        case="slay",
        verb=Verb.KILL,
        make=_asked_for("start"),
        told="start",
        trigger="on: {container: start}",
        then="kill: {}",
        status="exited",
        begun=False,
    ),
    Trouble(
        case="freeze",
        verb=Verb.PAUSE,
        make=_asked_for("unpause"),
        told="unpause",
        trigger="on: {container: unpause}",
        then="pause: {}",
        status="paused",
    ),
    Trouble(
        case="thaw",
        verb=Verb.UNPAUSE,
        make=_asked_for("pause"),
        told="pause",
        trigger="on: {container: pause}",
        then="unpause: {}",
    ),
)  # fmt: skip


UNLIMITED = {"backoff": "{initial: 0s}", "budget": "{max: 1000, per: 1s}"}
"""Guards that hold nothing back."""


KEEP_UP = """\
  - name: keep-up
    select: {labels: {heal: "true"}}
    when: status == "exited"
    for: 400ms
    then: {restart: {stop_timeout: 1s}}
"""
"""A policy to be put below `reviving()`: what carries the label `heal=true` and stays ended is restarted, too."""


def reviving(select: str = '{labels: {heal: "true"}}', **guards: str) -> str:
    """One policy, `revive`: of what it selects, what ended by itself is restarted, under these guards."""
    text = f"""
version: 1
policies:
  - name: revive
    select: {select}
    on: {{container: die}}
    then: {{restart: {{stop_timeout: 1s}}}}
"""
    return text + "".join(f"    {name}: {value}\n" for name, value in guards.items())


def policies(group: str) -> str:
    """A policy for each kind of trouble, for the containers of that group."""
    texts = [
        f"""
  - name: {each.case}
    select: {{labels: {{group: {group}, case: {each.case}}}}}
    {each.trigger}
    then: {{{each.then}}}
    cooldown: {COOLDOWN:g}s
    budget: {{max: 1000, per: 1s}}"""
        + ("\n    backoff: {initial: 0s}" if each.verb in ATTEMPTS else "")
        for each in TROUBLES
    ]
    return "version: 1\npolicies:" + "".join(texts)


def create(engine: PrivateEngine, group: str) -> dict[str, str]:
    """The group's containers, none of them in trouble yet: name of each case -> id."""
    made = {}
    for each in TROUBLES:
        name = f"{group}-{each.case}"
        labels = [f"--label=group={group}", f"--label=case={each.case}"]
        options = (f"--name={name}", "--network=none", *labels, *each.options)
        made[each.case] = engine.docker("create", *options, IMAGE, *each.command)
        if each.begun:
            engine.api("POST", f"/containers/{name}/start")
        if each.status == "paused":
            engine.api("POST", f"/containers/{name}/pause")
    return made
