"""What people are told of policies that scale or resize: whom each is about, where it is seen, who sets it off."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core import Host
from tests.unit.test_explaining import explain
from watchtower_agent.errors import PermanentError
from watchtower_agent.loop.explaining import must_be_set_off, named
from watchtower_agent.model.decision import TargetKind
from watchtower_agent.model.trigger import TriggerAsked

POLICIES = """\
- name: web
  target: {compose: {project: shop, service: web}}
  scale: {min: 1, max: 4, metrics: [{metric: pids, target: 9}]}
- name: size
  select: {name: "shop-*"}
  resize: {cpu: {min: 1, max: 2}}
- name: disk
  when: host.disk.percent > 85%
  then: {notify: {}}
- name: other
  mode: "off"
  target: {swarm_service: web}
  scale: {min: 1, max: 4, metrics: [{metric: pids, target: 9}]}
"""


@pytest.fixture
def agent() -> Host:
    made = Host(POLICIES, first_start=True)
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
    made.docker.create("shop-web-1", labels=labels, silent=True)
    made.docker.create("shop-db-1", labels=labels | {"com.docker.compose.service": "db"}, silent=True)
    made.connect()
    made.tick()
    made.clear()
    return made


def watchers(of: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["policy"]: each for each in of["watchers"]}


def test_a_policy_that_scales_is_about_its_service(agent: Host) -> None:
    for target in (None, "shop/web"):
        told = explain(agent, "web", target)
        assert (told["policy"]["trigger"], told["policy"]["service"], told["policy"]["does"]) == (
            "scale",
            "shop/web",
            "scale",
        )
        (row,) = told["targets"]
        assert (row["target"], row["kind"], row["id"]) == ("shop/web", TargetKind.SERVICE, "compose:shop/web")
        assert row["selected"]
        assert row["condition"] is None


def test_a_policy_that_resizes_is_about_what_it_selects(agent: Host) -> None:
    told = explain(agent, "size")
    assert (told["policy"]["trigger"], told["policy"]["does"]) == ("resize", "resize")
    assert sorted(each["target"] for each in told["targets"]) == ["shop-db-1", "shop-web-1"]


@pytest.mark.parametrize(
    ("policy", "target", "said"),
    [
        ("web", None, "policy web scales by itself at every sample: see explain web"),
        ("size", None, "policy size resizes by itself at every sample: see explain size"),
        ("size", "shop-db-1", "policy size resizes by itself at every sample: see explain size"),
        ("other", None, "policy other is off: give it another mode first"),
    ],
)
def test_nobody_sets_off_what_acts_by_itself(agent: Host, policy: str, target: str | None, said: str) -> None:
    found, record = named(agent.pipeline, policy, target)
    with pytest.raises(PermanentError) as refused:
        must_be_set_off(agent.pipeline, found, record)
    assert str(refused.value) == said


@pytest.mark.parametrize("policy", ["web", "size"])
def test_who_asks_past_that_is_told_of_nothing_done(agent: Host, policy: str) -> None:
    """The policy may have become another one between the question and the step."""
    agent.see(TriggerAsked(policy=policy, target_id=None, correlation_id="a" * 32))
    assert agent.wanted == []


def test_a_single_replica_is_not_what_it_is_about(agent: Host) -> None:
    with pytest.raises(PermanentError) as refused:
        named(agent.pipeline, "web", "shop-web-1")
    said = "policy web is about the service shop/web, not about single containers: leave the target out"
    assert str(refused.value) == said


def test_in_top_they_stand_with_the_containers_that_they_change(agent: Host) -> None:
    page = agent.top()
    rows = {each["name"]: watchers(each) for each in page["containers"]}
    assert set(rows["shop-web-1"]) == {"web", "size"}
    assert set(rows["shop-db-1"]) == {"size"}
    assert set(watchers(page)) == {"disk"}
    assert rows["shop-web-1"]["web"]["does"] == "scale"
    assert rows["shop-web-1"]["web"]["on"] == rows["shop-db-1"]["size"]["on"] == ["every sample"]
