"""Policies in approve mode on the core's host, and how people are asked and answer there."""

from __future__ import annotations

from typing import Any

from tests.support.core import NOW, Host
from watchtower_agent.loop import approval_answers
from watchtower_agent.model.approval import Approval, ApprovalAnswered, ApprovalState
from watchtower_agent.model.observation import ScheduleDue

HEAL = """
- name: heal
  mode: approve
  select: {name: "*"}
  when: health == "unhealthy"
  then: {restart: {stop_timeout: 3s}, notify: {}}
"""
REVIVE = """
- name: revive
  mode: approve
  select: {name: "*"}
  on: {container: die}
  then: {restart: {}}
"""
ENFORCED = """
- {name: first, select: {name: "*"}, on: {container: die}, then: {restart: {}}}
"""
NIGHTLY = """
- name: nightly
  mode: approve
  select: {name: "*"}
  schedule: {cron: "30 3 * * *"}
  then: {restart: {}}
"""


def sick(host: Host, *names: str, silent: bool = True) -> None:
    for name in names:
        host.docker.create(name, check=True, silent=silent)
    host.relist()
    host.deliver()
    for name in names:
        host.docker.health(name)
    host.deliver()
    host.tick()


def crashed(host: Host, name: str = "web") -> None:
    host.docker.create(name, silent=True)
    host.relist()
    host.deliver()
    host.docker.crash(name)
    host.deliver()
    host.tick(3)


def asked(host: Host) -> list[str]:
    """Ids of what waits for an answer."""
    waiting = host.pipeline.decisions.approving.approvals.waiting()
    return [each.id for each in waiting if each.state is ApprovalState.ASKED]


def answer(host: Host, *, approves: bool = True, approval: str = "", because: str = "") -> dict[str, Any]:
    """What a person is told who answers, as the control socket does it."""
    decisions = host.pipeline.decisions
    approvals = decisions.approving.approvals
    typed = approval or asked(host)[0]
    meant = approval_answers.meant(approvals, typed, host.clock.now(), approves=approves)
    host.see(ApprovalAnswered(approval=meant.id, approves=approves, because=because))
    return approval_answers.answered(approvals, decisions.agenda, meant.id, host.clock.now())


def turns(host: Host) -> list[str]:
    """What has become of approvals, in order."""
    return [each.state.value for each in host.of(Approval)]


def why(host: Host) -> str:
    return host.of(Approval)[-1].why


def until_begun(host: Host, actions: int) -> None:
    """Until so many were begun, and are to be carried out at once."""
    for _ in range(100):
        if len(host.intents) == actions:
            return
        host.tick()
    raise AssertionError(f"{len(host.intents)} were begun")


def events(host: Host, action: str) -> list[dict[str, Any]]:
    return [each for each in host.published() if f"/event/policy/{action}/" in each["topic"]]


def scheduled(host: Host) -> None:
    host.docker.create("web", silent=True)
    host.relist()
    host.deliver()
    due = NOW + 47_800  # 03:30
    schedule = host.pipeline.policies.policies[0].trigger
    host.clock.advance(47_800)
    host.ping()
    host.see(ScheduleDue(policy="nightly", schedule=str(schedule.schedule), due=due))  # type: ignore[union-attr] # it is a schedule's
