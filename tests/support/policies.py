"""Texts of policies on their way through the loader."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.policy import Policy, PolicySet
from watchtower_agent.policies.problem import Problem

CHECKOUT: Final = Path(__file__).resolve().parents[2]
_BLOCK: Final = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)

GOOD = """\
version: 1
policies:
  - name: heal
    description: Heals.
    mode: shadow
    select: {labels: {autoheal: true}}
    when: health == "unhealthy"
    for: 1m
    keep_for: 10m
    then:
      restart: {stop_timeout: 30s}
      notify: {severity: critical, message: Sick again}
    cooldown: 5m
    backoff: {initial: 5s, factor: 1.5, max: 2m, reset_after: 1h}
    budget: {max: 3, per: 2h, probe_after: 45m, on_open: stop}
    restart_stopped: true
    depends: [db, "cache-*", {labels: {tier: storage}, not: {name: db-2}}]
    windows:
      - {cron: "0 2 * * *", for: 3h, timezone: Europe/Berlin}
      - {cron: "0 22 * * fri-mon", for: 2d, timezone: UTC}

  - name: oom
    on: {container: [oom, die], engine: "*"}
    where: event.age < 5m
    then: {notify: {}}

  - name: nightly
    schedule: {cron: "*/30 3 1-31 jan-dec *", timezone: Australia/Lord_Howe}
    select: {name: "*", not: {status: [exited, dead], compose: {project: shop}}}
    then: {stop: {}}
"""
"""Everything that a file can hold, and nothing wrong."""


def loaded(text: str) -> PolicySet:
    """What a file without mistakes holds."""
    policies = load_policies({"a.yaml": text.encode()})
    assert isinstance(policies, PolicySet), "\n".join(map(str, policies))
    return policies


def problems(text: str | bytes) -> tuple[Problem, ...]:
    """What is wrong with a file."""
    found = load_policies({"a.yaml": text.encode() if isinstance(text, str) else text})
    assert isinstance(found, tuple)
    return found


def policy(body: str) -> Policy:
    """A policy without mistakes, whose second line this is."""
    return loaded(f"version: 1\npolicies:\n  - name: a\n    {body}\n").policies[0]


def lines(body: str) -> list[str]:
    """What is wrong with one policy, whose second line this is."""
    return [str(each) for each in problems(f"version: 1\npolicies:\n  - name: a\n    {body}\n")]


def examples() -> Iterator[tuple[str, str]]:
    """Every policy in the pages, as a file: the page with a number, and the text."""
    for page in sorted({*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")}):
        for index, block in enumerate(_BLOCK.findall(page.read_text(encoding="utf-8"))):
            body = block.rstrip()
            if body.lstrip().startswith("- name:"):
                lines = body.splitlines()
                indent = "" if lines[0].startswith("  ") else "  "
                body = "version: 1\npolicies:\n" + "\n".join(indent + line for line in lines)
            if "policies:\n" in body and "version: 1" in body:
                yield f"{page.name}-{index}", body
