"""The loop as an independent subscriber sees it: a cause, a decision, an action and its outcome."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine

SICK = ("--health-cmd=test ! -e /tmp/bad", "--health-interval=200ms", "--health-retries=1", "--health-timeout=1s")
HEAL = """
version: 1
policies:
  - name: heal
    select: {labels: {heal: "true"}}
    when: health == "unhealthy"
    for: 1s
    then: {restart: {stop_timeout: 1s}}
"""


async def test_an_unhealthy_container_is_restarted_and_cause_to_outcome_share_one_correlation(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, HEAL)
    sick = engine.run("sick", labels={"heal": "true"}, options=SICK)
    await host.watch.until_told("container", "start", "sick")
    before = host.starts(sick)
    engine.docker("exec", "sick", "touch", "/tmp/bad")

    (outcome,) = await host.watch.until_told("action", "succeeded", "sick")

    chain = [e for e in host.watch.events if e.correlation == outcome.correlation]
    story = [f"{e.kind}/{e.action}" for e in chain]
    assert story[:3] == ["policy/firing", "policy/decision", "action/started"]
    assert {"container/die", "container/start", "action/succeeded"} <= set(story)
    assert story.index("action/started") < story.index("container/die") < story.index("container/start")
    (decision,) = host.watch.told("policy", "decision", "sick")
    assert decision.data["numbers"]["health"] == "unhealthy"
    assert decision.data["numbers"]["true_for"] >= 0.9
    assert host.starts(sick) > before
    assert [call.path for call in host.calls()] == [f"/containers/{sick}/restart"]
