"""The action of scaling on a real engine, from the intent to the outcome."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.engine import PrivateEngine
from tests.support.engine_watch import engine_calls
from watchtower_agent.actions.executor import Executor
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.client import DockerEngine
from watchtower_agent.model.decision import Decision, Number, Target, TargetKind, Verb
from watchtower_agent.model.outcome import Intent, Outcome, Result, Unsettled
from watchtower_agent.model.service import CLONE_OF, CLONED_BY

HEALTHY = ("--health-cmd=test -e /tmp/well", "--health-interval=200ms", "--health-retries=2")
WELL = ("sh", "-c", "trap 'exit 0' TERM; sleep 0.5; touch /tmp/well; while :; do sleep 0.1; done")
ALONE = ("sh", "-c", "mkdir /shared/lock || exit 7; trap 'exit 0' TERM; while :; do sleep 0.1; done")
"""Only one at a time can run: another one ends at once."""


@pytest.fixture
def docker(engine: PrivateEngine) -> Iterator[DockerEngine]:
    with (
        closing(engine_calls(engine.url, timeout=5)) as calls,
        closing(DockerEngine(calls, clock=SystemClock())) as docker,
    ):
        yield docker


async def scaled(docker: DockerEngine, **parameters: Number) -> Outcome:
    """What came of a decision."""
    clock, left = SystemClock(), list[Outcome | Unsettled]()
    now = clock.now().wall
    decision = Decision(
        id="d1",
        policy="busy",
        target=Target(kind=TargetKind.SERVICE, id="group:tier=web", name="tier=web"),
        verb=Verb.SCALE,
        reason="",
        parameters=parameters,
        correlation_id="c",
        decided_at=now,
        expires_at=now + 60,
    )
    executor = Executor(docker, clock, recheck=lambda *_: None, done=left.append)
    executor.start(Intent(decision=decision, at=now))
    await executor.finish(within=120)
    (outcome,) = left
    assert isinstance(outcome, Outcome)
    return outcome


async def test_a_group_grows_by_clones_that_are_healthy_and_shrinks_again(
    engine: PrivateEngine, docker: DockerEngine
) -> None:
    web = engine.run("web", *WELL, labels={"tier": "web"}, options=HEALTHY)
    grown = await scaled(docker, original=web, to=3, add=2, shared=False)
    assert (grown.result, grown.numbers["added"]) == (Result.SUCCEEDED, 2), grown.reason
    first, second = str(grown.numbers["clones"]).split(",")
    found = {each["Id"]: each for each in engine.api("GET", "/containers/json")}
    assert found.keys() == {web, first, second}
    for clone in (first, second):
        assert found[clone]["Status"].endswith("(healthy)")
        labels = found[clone]["Labels"]
        assert (labels["tier"], labels[CLONE_OF], labels[CLONED_BY]) == ("web", web, "d1")

    shrunk = await scaled(docker, remove=f"{second},{first}")
    assert (shrunk.result, shrunk.numbers["removed"]) == (Result.SUCCEEDED, 2), shrunk.reason
    assert [each["Id"] for each in engine.api("GET", "/containers/json", all="1")] == [web]


async def test_a_clone_that_can_not_run_is_removed_and_its_end_is_the_reason(
    engine: PrivateEngine, docker: DockerEngine
) -> None:
    engine.docker("volume", "create", "shared")
    web = engine.run("web", *ALONE, options=["--volume=shared:/shared"])
    outcome = await scaled(docker, original=web, to=2, add=1, shared=True)
    assert outcome.result is Result.FAILED
    assert "the clone web-clone-1 ended at once: it exited with code 7; it was removed again" in outcome.reason
    assert outcome.numbers["added"] == 0
    assert [each["Id"] for each in engine.api("GET", "/containers/json", all="1")] == [web]
