"""Resident memory of an agent that has watched for an hour, which is given to it in half a minute (`hour.py`)."""

from __future__ import annotations

import time

from costs import rss_mib
from report import CHECKOUT, Figure, progress
from stage import Agent, Stage, shipped_policies

RSS_MIB = 70.0

HOUR = 3600
"""Rows; one a second."""

LONG_WINDOWS = """
  - name: an-hour-of-cpu
    select: {name: "*"}
    when: avg(cpu.percent, 1h) > 10000%
    then: {notify: {severity: warning}}
  - name: an-hour-of-memory
    select: {name: "*"}
    when: p95(memory.working_set, 1h) > 1TiB
    then: {notify: {severity: warning}}
"""


def hour(stage: Stage, policies: str, *, windows: int) -> tuple[float, float]:
    """An agent to which an hour is given.

    Args:
        stage: With its containers.
        policies: Of the agent.
        windows: How many of them ask for an hour of every container; their answers must be known in the end.

    Returns:
        MiB of resident memory before the hour and after it.
    """
    agent = stage.agent(policies)
    mark = stage.directory / f"hour-{windows}"
    agent.start(stage.code(), through=[str(CHECKOUT / "benchmarks" / "hour.py"), str(HOUR), str(mark)])
    try:
        agent.wait_ready()
        time.sleep(15)
        before = rss_mib(agent.pid)
        deadline = time.monotonic() + 600
        while not mark.exists():
            assert agent.process is not None
            assert agent.process.poll() is None, agent.log_tail()
            assert time.monotonic() < deadline, "the hour does not pass"
            time.sleep(0.2)
        time.sleep(25)  # ticks of its own, and two batches of metrics, as at any other time
        after = rss_mib(agent.pid)
        if windows:
            _know_their_hour(agent, windows)
    finally:
        agent.stop()
    progress(f"  {windows} windows of an hour: {before:.1f} MiB before, {after:.1f} MiB after")
    return before, after


def _know_their_hour(agent: Agent, windows: int) -> None:
    """Rows enough came in: else windows have no answer."""
    (shown,) = agent.ask("top", limit=1)["containers"]
    values = [compared["value"] for each in shown["watchers"] for compared in each.get("comparisons", ())]
    assert len([value for value in values if isinstance(value, int | float)]) >= windows, values


def hours(stage: Stage) -> list[Figure]:
    """Resident memory after an hour, with the shipped policies, and with windows of an hour on top."""
    progress("an hour for the agent")
    shipped = hour(stage, shipped_policies(), windows=0)
    long = hour(stage, shipped_policies() + LONG_WINDOWS, windows=2)
    return [
        Figure(
            name="resident memory after an hour",
            value=shipped[1],
            unit="MiB",
            limit=RSS_MIB,
            note=f"{HOUR:,} rows; {shipped[0]:.1f} before",
        ),
        Figure(
            name="the same, two policies ask for windows of an hour",
            value=long[1],
            unit="MiB",
            note=f"avg of CPU and p95 of memory, every container; {long[0]:.1f} before",
        ),
    ]
