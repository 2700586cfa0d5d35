"""Three engines in one Swarm, an agent each, one broker: they scale as one, and go on when the leader dies."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.agent import Host, Told
from tests.support.announced import Announced
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.engine_watch import in_thread
from tests.support.load import Load
from tests.support.numbers import FULL, drill
from tests.support.patience import patient
from tests.support.several_engines import leader, node_of, several_engines
from tests.support.swarm import create_loaded_service, create_service, inspect_service, nodes_of, replicas_of

CPU = "cpu.percent_of_limit"
TARGET = 50
"""Percent of its limit that a replica is to use."""
QUEUE = "queue"
pytestmark = pytest.mark.only_full
LAST = drill(reduced=60, full=660)
"""Seconds that a shrink takes, with the time in which the dead node is still believed to live."""
SHORT = """
      up: {window: 10s, cooldown: 5s}
      down: {window: 25s, fast: 25% after 15s, step: 50% per 5s}
"""


def policy(name: str, *, least: int, rules: str = SHORT, metric: str = f"{{metric: {CPU}, target: {TARGET}%}}") -> str:
    """One that scales the service of that name; without rules, by the default ones."""
    return f"""
  - name: {name}
    target: {{swarm_service: {name}}}
    scale:
      min: {least}
      max: 8
      metrics: [{metric}]
{rules}"""


@dataclass(slots=True, kw_only=True)
class Swarm:
    """The engines, and the agent of each."""

    engines: list[PrivateEngine]
    hosts: list[Host]

    def of(self, engine: PrivateEngine) -> Host:
        """The agent on that engine, and who hears it."""
        return self.hosts[self.engines.index(engine)]

    def told(self, kind: str, action: str) -> list[tuple[Host, Told]]:
        """What any of the agents said, in the order in which the broker gave it."""
        said = [(host, told) for host in self.hosts for told in host.watch.told(kind, action)]
        return sorted(said, key=lambda each: each[1].arrived)


@pytest.fixture
def three() -> Iterator[list[PrivateEngine]]:
    with several_engines(3) as engines:
        yield engines


def with_agents(
    engines: list[PrivateEngine], broker: PrivateBroker, make_host: Callable[..., Host], policies: str
) -> Swarm:
    often = {"sampling": {"interval": "1s"}, "engine": {"timeout": f"{patient(5):g}s"}}
    text = f"version: 1\npolicies:{policies}"
    hosts = [make_host(engine, broker, text, proxied=False, settings=often, start=False) for engine in engines]
    for host in hosts:
        host.agent.start(ready=False)
    for host in hosts:
        host.agent.wait_log("engine_up", timeout=60)
        host.agent.wait_log("mqtt_up", timeout=60)
    return Swarm(engines=engines, hosts=hosts)


async def until(condition: Callable[[], bool], what: str, *, within: float) -> None:
    """Wait for something of the engines, which nobody tells of."""
    for _ in range(int(patient(within) / 0.2)):
        if await in_thread(condition):
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"not within {within:g} s: {what}")


class Numbers:
    """How many replicas a service was meant to have, over time, by its versions: seen by nobody who changes it."""

    def __init__(self, engines: list[PrivateEngine], service: str) -> None:
        self._engines, self._service = engines, service
        self.seen: dict[int, int] = {}
        self._task = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            await in_thread(self._look_once)
            await asyncio.sleep(0.1)

    def _look_once(self) -> None:
        for engine in self._engines:
            try:
                service = inspect_service(engine, self._service)
            except (AssertionError, OSError):
                continue
            self.seen[service["Version"]["Index"]] = service["Spec"]["Mode"]["Replicated"]["Replicas"]
            return

    async def end(self) -> list[tuple[int, int]]:
        """Every change, from and to."""
        await in_thread(self._look_once)
        self._task.cancel()
        in_order = [number for _, number in sorted(self.seen.items())]
        return [(before, after) for before, after in pairwise(in_order) if before != after]


@pytest.mark.full
async def test_the_agents_of_a_swarm_scale_as_one_and_go_on_when_the_leader_dies(
    three: list[PrivateEngine], broker: PrivateBroker, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    load = Load(tmp_path / "load", cores=0.05)  # also a busy machine has that for each
    first = leader(three)
    web = create_loaded_service(first, "web", load, replicas=2)
    await until(lambda: len(set(nodes_of(first, web))) == 2, "its tasks run on two nodes", within=30)
    load.level(90)
    swarm = await in_thread(
        lambda: with_agents(three, broker, make_host, policy("web", least=2, rules="" if FULL else SHORT))
    )
    numbers = Numbers(three, web)

    # A busy machine may have had another one elected by then.
    try:
        await until(lambda: bool(swarm.told("action", "succeeded")), "some agent lets it grow", within=90)
    except AssertionError as error:
        pages = [host.agent.command("explain", "web") for host in swarm.hosts]
        raise AssertionError("\n".join([str(error), *pages])) from None
    ((host, grown),) = swarm.told("action", "succeeded")
    (decided,) = host.watch.told("policy", "decision", "web")
    told = decided.data["numbers"]
    size = int(told["to"])
    load.level(TARGET * (size - 0.5) / size)  # they share it
    assert told[f"{CPU} replicas"] == "2 known, 0 missing, 0 warming"  # of both nodes
    assert size == math.ceil(max(told["need"], told["jump"] or 0))
    assert size in {3, 4}  # by what the machine had left for them
    assert decided.correlation == grown.correlation
    assert replicas_of(first, web) == size
    await until(lambda: len(nodes_of(first, web)) == size, "so many tasks run", within=30)

    load.level(10)
    first = await in_thread(lambda: leader(three))
    swarm.of(first).agent.kill()
    first.kill()
    dead = {first}
    second = await in_thread(lambda: leader([each for each in three if each not in dead]))
    heir = swarm.of(second)
    await until(lambda: replicas_of(second, web) == 2, "another agent shrinks it", within=LAST + 60)
    shrinks = await heir.watch.until_told("action", "succeeded", "web", timeout=15)

    changes = await numbers.end()
    done = swarm.told("action", "succeeded")
    assert [(each.data["parameters"]["from"], each.data["parameters"]["to"]) for _, each in done] == changes
    assert changes[0] == (2, size)
    assert changes[-1][1] == 2
    assert all(before > after for before, after in changes[1:])  # nobody grew it again in between
    assert {each.correlation for each in shrinks} == {each.correlation for _, each in done[1:]}
    assert [each for _, each in swarm.told("action", "failed")] == []
    decisions = [each.data["decision_id"] for _, each in swarm.told("action", "started")]
    assert len(decisions) == len(set(decisions)) == len(changes)


@contextlib.asynccontextmanager
async def scaled_by_queue(
    three: list[PrivateEngine], broker: PrivateBroker, make_host: Callable[..., Host], needs: float
) -> AsyncIterator[tuple[Swarm, str, Announced]]:
    """Agents that scale a service of two tasks by what is announced."""
    first = await in_thread(lambda: leader(three))
    web = await in_thread(lambda: create_service(first, "web", replicas=2))
    by_queue = policy("web", least=1, metric=f"{{mqtt: {QUEUE}, value: web, target_per_replica: 1, stale_after: 5s}}")
    with Announced(broker, QUEUE, web=needs) as queue:
        yield await in_thread(lambda: with_agents(three, broker, make_host, by_queue)), web, queue


async def test_what_a_person_did_right_before_the_leader_died_is_respected_by_its_heir(
    three: list[PrivateEngine], broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    async with scaled_by_queue(three, broker, make_host, 3.0) as (swarm, web, queue):
        await until(lambda: bool(swarm.told("action", "succeeded")), "some agent lets it grow", within=60)

        first = await in_thread(lambda: leader(three))
        await in_thread(lambda: first.docker("service", "scale", "--detach", "web=5"))
        swarm.of(first).agent.kill()
        first.kill()
        second = await in_thread(lambda: leader([each for each in three if each is not first]))
        heir = swarm.of(second)
        # More is needed only after that: else it could be the dead agent's own doing, as far as anybody knows.
        await until(lambda: heir.agent.explained("web")["service"]["hands_off_for"] > 0, "the heir sees it", within=60)
        queue.values["web"] = 8.0
        (limited,) = await heir.watch.until_told("policy", "limited", timeout=90)

        why = "somebody else changed its number of replicas, which is left alone for a while"
        assert limited.reason == f"it stays at 5 and gets no more: {why}"
        explained = await in_thread(lambda: heir.agent.explained("web"))
        assert explained["service"]["acts"] is True
        assert 750 < explained["service"]["hands_off_for"] < 890
        assert len(swarm.told("action", "started")) == 1
        assert replicas_of(second, web) == 5


async def test_who_was_away_while_the_leader_s_agent_scaled_goes_on_from_there(
    three: list[PrivateEngine], broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    async with scaled_by_queue(three, broker, make_host, 2.0) as (swarm, web, queue):
        await until(lambda: all(_looked(host) for host in swarm.hosts), "every agent has looked", within=60)
        first = await in_thread(lambda: leader(three))
        others = [each for each in three if each is not first]
        for each in others:
            await in_thread(swarm.of(each).agent.stop)
        queue.values["web"] = 3.0
        await until(lambda: bool(swarm.told("action", "succeeded")), "it grows", within=30)
        for each in others:
            await in_thread(swarm.of(each).agent.start)
        await until(lambda: all(_looked(swarm.of(each)) for each in others), "they have looked", within=60)
        swarm.of(first).agent.kill()
        first.kill()
        queue.values["web"] = 5.0

        second = await in_thread(lambda: leader(others))
        await until(lambda: replicas_of(second, web) == 5, "the heir lets it grow", within=60)


def _looked(host: Host) -> bool:
    """Whether an agent knows what its service needs, and leaves it alone for nobody."""
    service = host.agent.explained("web")["service"]
    return service.get("metrics") is not None and service["hands_off_for"] == 0


async def test_what_a_dead_agent_does_not_tell_shrinks_nothing(
    three: list[PrivateEngine], broker: PrivateBroker, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    first = leader(three)
    silent, other = (each for each in three if each is not first)
    load = Load(tmp_path / "load")
    services = {
        name: create_loaded_service(first, name, load, replicas=2, constraints=[f"node.id=={node_of(engine)}"])
        for name, engine in (("unknown", silent), ("known", other))
    }
    for service in services.values():
        await until(lambda service=service: len(nodes_of(first, service)) == 2, "its tasks run", within=30)  # type: ignore[misc] # a default binds it
    policies = policy("unknown", least=1) + policy("known", least=1)
    swarm = await in_thread(lambda: with_agents(three, broker, make_host, policies))
    swarm.of(silent).agent.kill()
    watch = swarm.of(first).watch

    await watch.until_told("action", "succeeded", "known", timeout=90)
    (limited,) = await watch.until_told("policy", "limited", timeout=90)

    assert limited.data["policy"] == "unknown"
    assert limited.reason == (
        f"it stays at 2 and gets no fewer: not everything is known ({CPU} is not known: no replica has a value)"
    )
    assert replicas_of(first, services["unknown"]) == 2
    assert replicas_of(first, services["known"]) == 1

    swarm.of(silent).agent.start()
    await watch.until_told("action", "succeeded", "unknown", timeout=90)
    assert replicas_of(first, services["unknown"]) == 1
