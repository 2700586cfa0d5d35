"""kill -9 of the agent at random moments around its actions: ledger and engine agree, and nothing is done twice."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from random import Random
from typing import Any

import pytest

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.kill_moments import Kill, Killer, Place, done, place
from tests.support.numbers import FULL, drill
from tests.support.proxy import Request
from tests.support.tape import EngineTape, Recorded
from tests.support.troubles import COOLDOWN, TROUBLES, Trouble, create, policies
from watchtower_agent.model.decision import Verb

log = logging.getLogger(__name__)

LANES = drill(reduced=2, full=3)
"""Agents at work on one engine at the same time, each with containers of its own: they mostly wait."""
KILLS = drill(reduced=2, full=67)
"""Of each."""
AGAIN = 0.3
"""How often an agent is killed once more while it finds out about what the first kill interrupted."""
SETTLED_WITHIN = 40.0
CLOCKS = 0.05
"""Seconds by which stamps of one machine may differ."""
NO_ENDS = {"started", "ineffective"}
"""Of an action it is told when it begins, when it has ended, and if that was of no use."""


@dataclass(slots=True, kw_only=True)
class Lane:
    """One agent with a container for each kind of trouble.

    Attributes:
        group: Of its containers.
        ids: Case -> container.
        fell: How many of its kills fell where, counted over all actions.
    """

    group: str
    ids: dict[str, str]
    host: Host
    tape: EngineTape
    chance: Random
    killer: Killer
    fell: Counter[Place] = field(default_factory=Counter)
    kills: int = 0
    _row: int = 0
    _event: int = 0
    _request: int = 0
    _heard: int = 0

    def name(self, each: Trouble) -> str:
        """Of its container."""
        return f"{self.group}-{each.case}"

    async def run(self, kills: int) -> None:
        """Round by round: trouble for all, a kill or two, and once all is settled, the reckoning."""
        while self.kills < kills:
            self._mark()
            fallen: list[Kill] = []
            try:
                fallen += await self._trouble_and_kills()
                await self.host.watch.until(lambda _: not self._unsettled(), timeout=SETTLED_WITHIN)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self._unsettled()}\nkilled at {fallen}\n{self._said()}") from None
            self.kills += len(fallen)
            for each in TROUBLES:
                self._reckon(each, fallen)
            log.info("%s: %d kills, seen from each action %s", self.group, self.kills, dict(self.fell))

    def _said(self) -> str:
        """What the agent last said of its doings."""
        words = ("action_started", "action_ended", "held", "dropped", "decision", "agent_starting")
        lines = [line for line in self.host.agent.lines if line["event"] in words or "gap" in line["event"]]
        return "\n".join(map(str, lines[-60:]))

    def _mark(self) -> None:
        self.killer.mark()
        assert self.host.proxy is not None
        self._row = self.host.agent.query("SELECT coalesce(max(number), 0) FROM ledger")[0][0]
        self._event, self._request = len(self.tape.events), len(self.host.proxy.requests)
        self._heard = len(self.host.watch.events)

    async def _trouble_and_kills(self) -> list[Kill]:
        order = self.chance.sample(TROUBLES, len(TROUBLES))
        aimed = self.chance.choice(order)

        def trouble() -> None:
            for each in order:
                each.make(self.host.engine, self.name(each))

        def kills() -> list[Kill]:
            at = self.name(aimed), self.ids[aimed.case]
            fallen = [self.killer.kill(*at, told=aimed.told, did=aimed.verb)]
            while self.chance.random() < AGAIN:
                self.killer.start(ready=False)
                fallen.append(self.killer.kill_after(self.chance.uniform(0.1, 2.0)))
            return fallen

        killing = asyncio.create_task(asyncio.to_thread(kills))
        await asyncio.to_thread(trouble)
        fallen = await killing
        await asyncio.to_thread(self.killer.start, ready=True)
        return fallen

    def rows(self, name: str = "") -> list[dict[str, Any]]:
        """The ledger's of this round, oldest first."""
        found = self.host.agent.query(
            """SELECT target, result, outcome, intent_at, json_extract(decision, '$.correlation_id') FROM ledger
            WHERE number > ? AND ? IN ('', target) ORDER BY number""",
            self._row,
            name,
        )
        return [
            {"target": target, "result": result, "at": at, "correlation": of, **json.loads(outcome or "{}")}
            for target, result, outcome, at, of in found
        ]

    def told(self, name: str) -> list[tuple[str, str]]:
        """Correlation and result of each action of this round that the subscriber heard the end of."""
        heard = {e.document["id"]: e for e in self.host.watch.events[self._heard :] if e.kind == "action"}
        of_rows = {row["correlation"] for row in self.rows(name)}
        ends = (e for e in heard.values() if e.name == name and e.action not in NO_ENDS and e.correlation in of_rows)
        return sorted((e.correlation, e.action) for e in ends)

    def _unsettled(self) -> str:
        """What is missing until every container was helped, every action has its end, and nothing waits."""
        rows = self.rows()
        if open_rows := [row["target"] for row in rows if row["result"] is None]:
            return f"no outcome about {open_rows}"
        for each in TROUBLES:
            name = self.name(each)
            about = [row for row in rows if row["target"] == name]
            if not any(done(row) for row in about):
                return f"{name} was not helped: {about}"
            # Whether it helped is told after the end, and the row says that in its place.
            ends = sorted((row["correlation"], row["result"].replace("ineffective", "succeeded")) for row in about)
            if self.told(name) != ends:
                return f"the subscriber heard {self.told(name)} and the ledger has {ends}"
            if not self._acts(each):
                return f"the engine has not told yet that it did {each.verb} {name}"
            if each.told == "health_status" and not self._seen_well(name):
                return f"{name} is not well yet"
        pending = self.host.agent.status()["pending"]
        return f"it waits: {pending}" if pending else ""

    def _seen_well(self, name: str) -> bool:
        """Its health was looked at after its restart."""
        told = [event.action for event in self.tape.of(name, since=self._event)]
        return "restart" in told and "health_status" in told[told.index("restart") :]

    def _reckon(self, each: Trouble, fallen: Sequence[Kill]) -> None:
        """What the ledger says of one container is what the engine did, and that was one thing."""
        name = self.name(each)
        rows, acts, calls = self.rows(name), self._acts(each), self._calls(each)
        story = (name, rows, acts, calls, fallen)
        assert len(acts) == 1, story
        helped = [row for row in rows if done(row)]
        assert len(helped) == 1, story
        (act,), (row,) = acts, helped
        assert row["at"] - CLOCKS <= act.time_ns / 1e9 <= row["finished_at"] + CLOCKS, story
        assert {other["result"] for other in rows if other is not row} <= {"interrupted", "abandoned"}, story
        for other in rows:
            asked = [call for call in calls if other["at"] <= call.wall <= other["finished_at"]]
            assert len(asked) <= 1, story
        assert len(calls) <= len(rows), story
        state = self.host.engine.api("GET", f"/containers/{name}/json")["State"]
        assert state["Status"] == each.status, story
        self.fell.update(place(kill, rows, calls) for kill in fallen)

    def _acts(self, each: Trouble) -> list[Recorded]:
        """What the engine says that was done.

        Of some pauses and unpauses in quick succession it tells again a moment later (63 pauses told for 60 calls
        where six containers are frozen and thawed in parallel): what nobody has asked for since is not one more.
        """
        acts = self.tape.of(self.name(each), each.verb, since=self._event)
        if each.verb not in {Verb.PAUSE, Verb.UNPAUSE}:
            return acts
        asked = [call.wall for call in self._calls(each)]
        since = [(0.0, acts[0])] if acts else []
        since += [(earlier.time_ns / 1e9, later) for earlier, later in pairwise(acts)]
        return [act for before, act in since if any(before < at <= act.time_ns / 1e9 + CLOCKS for at in asked)]

    def _calls(self, each: Trouble) -> list[Request]:
        assert self.host.proxy is not None
        return self.host.proxy.seen("POST", f"/containers/{self.ids[each.case]}/*", since=self._request)

    def reckon_all(self) -> None:
        """Over all rounds: no two calls within a cooldown, and as many ends told as the ledger has."""
        for each in TROUBLES:
            for call, following in pairwise(self.host.calls(self.ids[each.case])):
                assert following.monotonic - call.monotonic >= COOLDOWN, self.name(each)
        ends = [event for event in self.host.watch.told("action") if event.action not in NO_ENDS]
        assert self.host.agent.query("SELECT count(*) FROM ledger") == [(len(ends),)]


@pytest.mark.full
async def test_ledger_and_engine_agree_after_every_kill_and_no_action_is_done_twice(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    begun = time.monotonic()
    with EngineTape(engine) as tape:
        lanes = []
        for number in range(LANES):
            group, chance = f"lane{number}", Random(number)
            ids = create(engine, group)
            host = make_host(engine, module_broker, policies(group))
            killer = Killer(host, tape, chance)
            lanes.append(Lane(group=group, ids=ids, host=host, tape=tape, chance=chance, killer=killer))
        await asyncio.gather(*(lane.run(KILLS) for lane in lanes))
        for lane in lanes:
            lane.reckon_all()
    fell = sum((lane.fell for lane in lanes), Counter())
    kills, seconds = sum(lane.kills for lane in lanes), time.monotonic() - begun
    log.info(
        "%d kills in %.0f s; seen from each action they fell %s", kills, seconds, {str(k): n for k, n in fell.items()}
    )
    if FULL:
        assert set(fell) == set(Place)


GENERATIONS = drill(reduced=1, full=8)
"""Of crash loops."""
KILLS_EACH = drill(reduced=2, full=5)
"""Kills in a generation."""
EACH = 3
"""Crash loops of each policy in a generation."""
BUDGET = {"hasty": 3, "patient": 4}
INITIAL = 0.4
LOOPS = f"""
version: 1
policies:
  - name: hasty
    select: {{labels: {{loop: hasty}}}}
    on: {{container: die}}
    then: {{restart: {{stop_timeout: 1s}}}}
    cooldown: 0s
    backoff: {{initial: 0s}}
    budget: {{max: {BUDGET["hasty"]}, per: 1h, in_vain: 1000}}
  - name: patient
    select: {{labels: {{loop: patient}}}}
    on: {{container: die}}
    then: {{restart: {{stop_timeout: 1s}}}}
    cooldown: 0s
    backoff: {{initial: {INITIAL * 1000:g}ms}}
    budget: {{max: {BUDGET["patient"]}, per: 1h, in_vain: 1000}}
"""


@pytest.mark.full
async def test_budgets_backoffs_and_breakers_count_over_kills_what_the_ledger_has(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    chance, kills, names = Random(3), count(), []
    with EngineTape(engine) as tape:
        host = make_host(engine, module_broker, LOOPS)
        killer = Killer(host, tape, chance)

        def kill() -> None:
            if chance.random() < 0.5:
                killer.kill_at_next_intent(at_most=1.0)
            else:
                killer.kill_after(chance.uniform(0, 1.0))
            next(kills)
            killer.start(ready=True)

        for generation in range(GENERATIONS):
            loops = [f"{policy}-{generation}-{number}" for policy in BUDGET for number in range(EACH)]
            names += loops
            for name in loops:
                engine.run(name, "sh", "-c", "sleep 0.2; exit 3", labels={"loop": name.split("-")[0]})
            for _ in range(KILLS_EACH):
                await asyncio.to_thread(kill)
            for name in loops:
                await host.watch.until_told("policy", "breaker_open", name, timeout=60)
        # One more, with every breaker open.
        await asyncio.to_thread(kill)
        await host.watch.until(lambda _: {each["guard"] for each in host.agent.status()["pending"]} == {"breaker"})

        pending = {each["target"] for each in host.agent.status()["pending"]}
        assert pending == set(names)
        breakers = dict(host.agent.query("SELECT key, value FROM records WHERE kind = 'breaker'"))
        assert {key.partition("\0")[2] for key in breakers} == set(names)
        assert {json.loads(value)["times"] for value in breakers.values()} == {1}
        for name in names:
            policy, rows = name.split("-")[0], host.agent.ledger(name)
            assert len(host.watch.told("policy", "breaker_open", name)) == 1, rows
            assert len([row for row in rows if row["result"] != "abandoned"]) == BUDGET[policy], rows
            assert len(tape.of(name, "restart")) == len([row for row in rows if done(row)]), (name, rows)
            waits = [later["at"] - earlier["finished_at"] for earlier, later in pairwise(rows)]
            if policy == "patient":
                assert all(wait >= 0.8 * INITIAL * 2**number - CLOCKS for number, wait in enumerate(waits)), rows
    log.info("%d kills among %d crash loops", next(kills), len(names))
