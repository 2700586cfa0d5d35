"""Scaled services and resized containers in `status`: what the agent tells of them."""

from __future__ import annotations

from typing import Any

from tests.support.core import policy_set
from tests.support.scaled_host import ScaledHost, scale_policy
from tests.support.sized_host import POLICY, SizedHost
from watchtower_agent.loop.limit_forms import resized_told
from watchtower_agent.loop.service_forms import services_told

OTHERS = "- {name: heal, select: {name: other}, on: {container: die}, then: {restart: {}}}\n"


def services(host: ScaledHost) -> list[dict[str, Any]]:
    return list(services_told(host.pipeline.policies, host.pipeline.decisions.scaling))


def resized(host: SizedHost) -> list[dict[str, Any]]:
    return list(resized_told(host.pipeline.decisions.resizing))


def test_a_service_has_its_numbers_and_what_limits_it() -> None:
    host = ScaledHost(scale_policy(least=1, most=3), replicas=2)
    (first,) = services(host)
    assert first["unseen"] == "samples are being gathered since the agent began"
    assert "wanted" not in first
    host.needs(2.0)
    host.settle(30)
    host.needs(9.0)
    host.settle(60)

    (told,) = services(host)
    assert (told["service"], told["acts"], told["unseen"], told["failed"]) == ("shop_web", True, "", "")
    assert (told["wanted"], told["min"], told["max"], told["limit"]) == (3, 1, 3, "max")
    assert told["needed"] > 3


def test_of_an_agent_that_does_not_lead_that_is_told() -> None:
    host = ScaledHost(scale_policy(), replicas=2, leads=False)
    host.settle(30)
    assert [each["acts"] for each in services(host)] == [False]


def test_resized_containers_are_counted_by_policy() -> None:
    host = SizedHost(POLICY.replace("{name: web}", "{name: [web, other]}").replace("512MiB", "228MiB"))
    host.uses(100, memory=100, cores=0.2)
    (told,) = resized(host)
    assert (told["policy"], told["in_force"], told["containers"], told["resized"]) == ("right-size", True, 2, 0)
    host.oom()
    host.uses(70, memory=100, cores=0.2)
    (told,) = resized(host)
    assert (told["resized"], told["at_max"], told["killed_at_max"]) == (1, 1, 0)
    host.oom()
    host.uses(2, memory=100, cores=0.2)
    (told,) = resized(host)
    assert (told["resized"], told["at_max"], told["killed_at_max"]) == (1, 1, 1)


def test_what_a_policy_that_is_gone_has_changed_is_told_as_long_as_it_can_be_reverted() -> None:
    host = SizedHost()
    host.uses(100, memory=100, cores=0.2)
    host.oom()
    host.uses(70, memory=100, cores=0.2)
    host.see(policy_set(OTHERS))
    (told,) = resized(host)
    assert (told["in_force"], told["resized"], told["containers"]) == (False, 1, 1)
    host.docker.remove("web", force=True)
    host.deliver()
    assert resized(host) == []


def test_where_nothing_is_scaled_or_resized_nothing_is_told() -> None:
    host = SizedHost(OTHERS)
    host.uses(5, memory=100, cores=0.2)
    assert resized(host) == []
    assert list(services_told(host.pipeline.policies, host.pipeline.decisions.scaling)) == []
