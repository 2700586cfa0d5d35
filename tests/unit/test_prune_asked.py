"""Plans that people are shown, and carried out by hand: what was shown, or nothing."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.support.core import Host, policy_set
from tests.support.pruned_host import full
from tests.support.pruning import MIB, container, image
from watchtower_agent.errors import PermanentError, TemporaryError
from watchtower_agent.loop.explaining import Asked, explained
from watchtower_agent.loop.inbox import Inbox
from watchtower_agent.loop.prune_answers import alive, became, must_answer, plans_json, that_prune
from watchtower_agent.loop.prune_forms import MOST_ROWS, pruned_told, tracking_json
from watchtower_agent.loop.prune_plans import MOST_SHOWN, Planned
from watchtower_agent.model.decision import Dropped
from watchtower_agent.model.disk_usage import DiskUsage, Image
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope
from watchtower_agent.model.removal import DiskListed, Fate, Look, PlanAsked, PruneAsked, Removed, Space
from watchtower_agent.serving.protocol import LARGEST_ANSWER, line
from watchtower_agent.state.engine_state import EngineState

POLICY = """
- name: disk
  schedule: {cron: "0 0 29 2 *", timezone: UTC}
  prune: {images: {unused_for: 10s, keep_newest: 0}}
- name: asks
  mode: approve
  schedule: {cron: "0 0 29 2 *", timezone: UTC}
  prune: {images: {unused_for: 10s, keep_newest: 0}}
- {name: never, mode: "off", schedule: {cron: "0 0 29 2 *", timezone: UTC}, prune: {images: {}}}
- {name: heal, select: {name: web}, on: {container: die}, then: {restart: {}}}
"""
HALF = Space(total=1000 * MIB, free=500 * MIB)


class PruningHost(Host):
    """An agent that prunes, on an engine with these images."""

    def __init__(self, *images: Image, policies: str = POLICY) -> None:
        super().__init__(policies)
        self.images = images
        self.correlations = 0
        self.see(self.listing(Look.NAMES))
        self.clock.advance(60.0)

    def listing(self, look: Look = Look.SIZES) -> DiskListed:
        disk = DiskUsage(at=self.clock.wall, images=self.images, containers=(container("holder", "used"),))
        return DiskListed(disk=disk, look=look, space=HALF)

    def shown(self, policy: str = "disk") -> Planned:
        """What a person is shown who looks now."""
        self.ping()
        self.correlations += 1
        correlation = f"{self.correlations:032}"
        self.see(PlanAsked(policies=(policy,), correlation_id=correlation, listed=self.listing()))
        (planned,) = self.decisions.pruning.planning.plans.of(correlation)
        assert isinstance(planned, Planned)
        return planned

    def carry_it_out(self, planned: Planned) -> dict[str, Any]:
        """What a person hears who wants that."""
        self.ping()
        now, policy = self.clock.now(), planned.decision.policy
        known = alive(self.decisions, policy, planned.id, now)
        assert isinstance(known, Planned), known
        effects = self.see(PruneAsked(policy=policy, plan=planned.id))
        told = json.loads(json.dumps(became(known, effects.facts, self.decisions, now), allow_nan=False))
        assert isinstance(told, dict)
        return told

    def removed(self) -> list[str]:
        """Names of what the engine is asked to delete, one after the other, which it all does."""
        names = []
        while self.decisions.pruning.under_way is not None:
            going = self.decisions.pruning.under_way
            if going.look:
                effects = self.see(self.listing(Look.NAMES))
                for removal in effects.removals:
                    names.append(removal.name)
                    self.images = tuple(each for each in self.images if each.id != removal.id)
                    self.see(Removed(removal=removal, fate=Fate.DELETED, space=HALF))
        return names

    @property
    def decisions(self) -> Any:  # noqa: ANN401 - many parts of it are looked at
        return self.pipeline.decisions

    def says(self, plan: Planned, **page: int) -> dict[str, Any]:
        """The answer with that plan."""
        asked = {"offset": 0, "limit": MOST_ROWS} | page
        answer = plans_json([plan], self.decisions, self.clock.now(), **asked)
        assert len(line(answer)) < LARGEST_ANSWER
        (told,) = json.loads(json.dumps(answer, allow_nan=False))["plans"]
        assert isinstance(told, dict)
        return told


def host(**changes: Any) -> PruningHost:  # noqa: ANN401 - as it takes them
    return PruningHost(image("one", "web:1"), image("two", "web:2"), image("used", "db:1"), **changes)


def test_what_is_shown_deletes_nothing_and_tells_all() -> None:
    known = host()
    told = known.says(known.shown())

    assert [(each["kind"], each["name"]) for each in told["items"]] == [("image", "web:1"), ("image", "web:2")]
    assert [(each["name"], each["protection"], each["by"]) for each in told["keeps"]] == [
        ("db:1", "container", "holder")
    ]
    assert (told["objects"], told["kept"], told["protections"]) == (2, 1, {"container": 1})
    assert told["space"] == {"used": 0.5, "used_bytes": 0.5, "used_inodes": 0.0, "free": 500 * MIB, "total": 1000 * MIB}
    assert (told["held"], told["reached"], told["until"]) == (None, False, None)
    assert told["expires_at"] - told["made_at"] == 600
    assert [fact.action for fact in known.of(Notice) if fact.action == "prune_plan"] == ["prune_plan"]
    known.clock.advance(60.0)
    known.tick(3)
    assert (known.did, known.decisions.agenda.waiting) == ([], {})


def test_what_was_shown_is_carried_out_and_nothing_that_came_later() -> None:
    known = host()
    planned = known.shown()
    known.images = (*known.images, image("late", "web:3"))
    known.clock.advance(1.0)
    known.see(known.listing(Look.NAMES))
    known.clock.advance(60.0)
    assert known.says(known.shown())["objects"] == 3

    told = known.carry_it_out(planned)
    assert (told["result"], told["plan"], told["correlation_id"]) == (
        "begun",
        planned.id,
        planned.decision.correlation_id,
    )
    assert known.removed() == ["web:1", "web:2"]
    (last,) = (each["last"] for each in pruned_told(known.decisions.pruning, known.clock.now()) if each["last"])
    assert isinstance(last, Mapping)
    assert (last["result"], last["deleted"]) == ("succeeded", 2)
    again = alive(known.decisions, "disk", planned.id, known.clock.now())
    assert isinstance(again, str)
    assert "there is no plan" in again


def test_a_plan_is_over_when_it_is_old_or_its_policy_was_changed() -> None:
    known = host()
    planned = known.shown()
    known.see(policy_set(POLICY.replace("10s, keep_newest: 0", "20s, keep_newest: 0")))
    why = alive(known.decisions, "disk", planned.id, known.clock.now())
    assert isinstance(why, str)
    assert "its policy was changed after its plan was made" in why
    known.see(PruneAsked(policy="disk", plan=planned.id))
    assert known.decisions.pruning.under_way is None

    planned = known.shown()
    known.clock.advance(600.0)
    known.see(PruneAsked(policy="disk", plan=planned.id))
    assert known.decisions.pruning.under_way is None
    why = alive(known.decisions, "disk", planned.id, known.clock.now())
    assert isinstance(why, str)
    assert "its plan is 10 min old" in why


def test_plans_that_are_looked_at_are_few_and_what_is_wanted_stays() -> None:
    known = host()
    wanted = known.shown()
    pause = PauseAsked(what=Paused(scope=PauseScope.POLICY, name="disk"), length=300.0, reason="")
    known.see(pause)
    told = known.carry_it_out(wanted)
    assert (told["result"], told["guard"]) == ("held", "paused")
    looks = [known.shown() for _ in range(MOST_SHOWN + 3)]
    assert known.says(looks[-1])["held"]["guard"] == "paused"
    alive_now = set(known.decisions.pruning.planning.plans.by)
    assert alive_now == {wanted.id, *(each.id for each in looks[-MOST_SHOWN:])}

    known.clock.advance(301.0)
    known.tick(1)
    known.ping()
    known.tick(1)
    assert known.removed() == ["web:1", "web:2"]


def test_of_two_plans_that_wait_the_one_that_was_wanted_last_is_carried_out() -> None:
    known = host()
    known.see(PauseAsked(what=Paused(scope=PauseScope.POLICY, name="disk"), length=30.0, reason=""))
    first, second = known.shown(), known.shown()
    known.carry_it_out(first)
    told = known.carry_it_out(second)
    assert (told["result"], told["guard"], told["reason"].startswith("policy disk is paused")) == (
        "held",
        "paused",
        True,
    )
    (dropped,) = known.of(Dropped)
    assert (dropped.decision.parameters["plan"], dropped.reason) == (
        first.id,
        "a person wants another plan carried out",
    )
    (waiting,) = known.decisions.agenda.waiting.values()
    assert waiting.decision.parameters["plan"] == second.id


def test_people_are_asked_about_the_plan_that_was_shown_and_a_later_one_does_not_take_its_place() -> None:
    known = host()
    first = known.shown("asks")
    told = known.carry_it_out(first)
    assert told["approval"] is not None
    assert (told["guard"], f"approve {told['approval']}" in told["reason"]) == ("mode", True)

    second = known.shown("asks")
    later = known.carry_it_out(second)
    assert (later["approval"], later["guard"]) == (told["approval"], "mode")
    assert later["reason"].startswith("people are asked about an earlier plan")
    (waiting,) = known.decisions.agenda.waiting.values()
    assert waiting.decision.parameters["plan"] == first.id


def test_who_prunes_nothing_is_told_who_does() -> None:
    known = host()
    assert [each.name for each in that_prune(known.pipeline, None)] == ["disk", "asks"]
    for policy, said in (
        ("dsk", "did you mean disk?"),
        ("heal", "policy heal prunes nothing; those that do: disk, asks, never"),
        ("never", "policy never is off"),
    ):
        with pytest.raises(PermanentError, match=said.replace("?", r"\?")):
            that_prune(known.pipeline, policy)
    with pytest.raises(PermanentError, match="no policy prunes"):
        that_prune(Host("- {name: a, select: {name: b}, on: {container: die}, then: {restart: {}}}").pipeline, None)


def test_a_page_is_bounded_whatever_names_there_are() -> None:
    hostile = "\U0001f4a3" * 500
    images = [image(f"i{each}", *(f"{hostile}{each}{tag}:1" for tag in range(9))) for each in range(3 * MOST_ROWS)]
    known = PruningHost(*images, policies=POLICY)
    planned = known.shown()
    told = known.says(planned, limit=10**6)

    assert (told["objects"], len(told["items"])) == (3 * MOST_ROWS, MOST_ROWS)
    assert max(len(each["name"]) for each in told["items"]) <= 120
    pages = [known.says(planned, offset=at)["items"] for at in range(0, 3 * MOST_ROWS, MOST_ROWS)]
    assert len({each["id"] for page in pages for each in page}) == 3 * MOST_ROWS


def test_a_listing_without_space_and_an_agent_that_has_seen_nothing_are_told_as_that() -> None:
    known = host()
    asked = PlanAsked(policies=("disk",), correlation_id="x", listed=replace(known.listing(), space=None))
    known.see(asked)
    (planned,) = known.decisions.pruning.planning.plans.of("x")
    assert known.says(planned)["space"] is None
    tracking = tracking_json(known.decisions.pruning, known.clock.now())
    assert tracking is not None
    assert (tracking["images"], tracking["gap"]) == (3, None)
    none = Host("- {name: a, select: {name: b}, on: {container: die}, then: {restart: {}}}")
    assert tracking_json(none.pipeline.decisions.pruning, none.clock.now()) is None


def test_explain_tells_the_cooldown_of_the_policy_though_a_person_need_not_wait() -> None:
    pruned = full()
    pruned.short()
    pruned.answers()
    policy = pruned.pipeline.policies.policies[0]
    for by_hand, stance in ((False, "holds"), (True, "passes")):
        work = explained(pruned.pipeline, Asked(policy=policy, by_hand=by_hand), pruned.clock.now())
        guards = _told(work)["targets"][0]["guards"]
        assert [each["answer"] for each in guards if each["guard"] == "cooldown"] == [stance]


def _told(work: Generator[None, None, dict[str, Any]]) -> dict[str, Any]:
    while True:
        try:
            next(work)
        except StopIteration as end:
            told: dict[str, Any] = end.value
            return told


def test_explain_tells_the_plan_then_the_pass_then_its_end() -> None:
    known = host()

    def told() -> dict[str, Any]:
        (policy,) = that_prune(known.pipeline, "disk")
        (target,) = _told(explained(known.pipeline, Asked(policy=policy), known.clock.now()))["targets"]
        found = target["prune"]
        assert isinstance(found, dict)
        return found

    assert told() == {"policy": "disk", "plan": None, "under_way": None, "last": None, "begun_at": None}
    planned = known.shown()
    assert (told()["plan"]["plan"], told()["plan"]["objects"]) == (planned.id, 2)
    known.carry_it_out(planned)
    going = told()["under_way"]
    assert (going["plan"], going["objects"], going["left"], going["deleted"]) == (planned.id, 2, 2, 0)
    known.removed()
    after = told()
    assert (after["plan"], after["under_way"], after["last"]["deleted"]) == (None, None, 2)


async def test_every_single_one_who_asks_is_heard() -> None:
    inbox, listed = Inbox(), host().listing()
    asked = [PlanAsked(policies=("disk",), correlation_id=each, listed=listed) for each in "ab"]
    wanted = [PruneAsked(policy="disk", plan=each) for each in "ab"]
    for looks, wants in zip(asked, wanted, strict=True):
        inbox.put(looks)
        inbox.put(wants)
    assert await inbox.take(within=1) == [asked[0], wanted[0], asked[1], wanted[1]]


def test_an_engine_that_hangs_is_not_waited_for() -> None:
    must_answer(EngineState(connected=True))
    for engine, said in (
        (EngineState(last_error="refused"), "the engine is not connected: refused"),
        (EngineState(connected=True, responding=False), "the engine does not answer"),
    ):
        with pytest.raises(TemporaryError, match=said):
            must_answer(engine)


def test_what_a_condition_has_people_asked_about_is_not_changed_under_its_id() -> None:
    full = "- {name: full, mode: approve, when: host.disk.percent > 80%, prune: PRUNE}\n".replace(
        "PRUNE", "{until: host.disk.percent < 70%, images: {unused_for: 10s, keep_newest: 0}}"
    )
    known = host(policies=full)
    known.tick(2, host_disk_percent=90.0)
    known.see(known.listing())
    (asked,) = known.decisions.approving.approvals.waiting()
    planned = asked.decision.parameters["plan"]

    told = known.carry_it_out(known.shown("full"))
    assert (told["approval"], told["reason"].startswith("people are asked about an earlier plan")) == (asked.id, True)
    (waiting,) = known.decisions.agenda.waiting.values()
    assert waiting.decision.parameters["plan"] == planned
