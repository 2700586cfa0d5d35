"""A rootless engine: what works on it, and that what it can't measure is not known rather than somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.elsewhere import BEGIN, HEAL
from tests.support.rootless import RootlessEngine
from tests.support.troubles import SICKENS

# the memory alone: with a second number it might not be told for want of that
MEMORY = """\
  - name: measured
    select: {name: web}
    when: memory.working_set > 1KiB
    then: {notify: {severity: info}}
"""
POLICIES = BEGIN + HEAL + MEMORY


@pytest.fixture(scope="module")
def rootless() -> Iterator[RootlessEngine]:
    with RootlessEngine() as rootless:
        yield rootless


@pytest.mark.only_full
async def test_an_agent_heals_on_a_rootless_engine_and_takes_nobody_elses_numbers_for_a_containers(
    rootless: RootlessEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(rootless, module_broker, POLICIES, settings={"sampling": {"source": "stats-api"}})
    rootless.run("web", options=SICKENS)
    await host.watch.until_told("container", "health_status", "web")

    rootless.docker("exec", "web", "touch", "/tmp/bad")
    (healed,) = await host.watch.until_told("action", "succeeded", "web")
    (die,) = host.watch.told("container", "die", "web")
    assert die.correlation == healed.correlation

    (degraded, *_) = await host.watch.until_told("agent", "sampling_degraded")
    assert "without cgroups, so what it measures is not the container's" in degraded.reason
    assert not host.watch.told("policy", "firing", where=lambda told: told.data["policy"] == "measured")
