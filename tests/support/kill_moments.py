"""Moments around an action at which an agent is killed, and where in the action a kill then fell."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

from tests.support.agent import Host
from tests.support.patience import patient
from tests.support.proxy import Request
from tests.support.tape import EngineTape


class Aim(StrEnum):
    """What is waited for before a kill. A short while at random follows."""

    ANYTHING = "anything"
    TROUBLE_TOLD = "the engine tells of the trouble"
    INTENT_WRITTEN = "the intent is on disk"
    ENGINE_ASKED = "the engine is asked"
    ENGINE_DID = "the engine tells that it did it"


_AT_MOST = {
    Aim.ANYTHING: 1.5,  # most actions are over by then
    Aim.TROUBLE_TOLD: 0.008,
    Aim.INTENT_WRITTEN: 0.002,
    Aim.ENGINE_ASKED: 0.3,
    Aim.ENGINE_DID: 0.004,
}
"""Seconds of that while."""


class Place(StrEnum):
    """Where in an action a kill fell."""

    BEFORE_INTENT = "before the intent"
    BEFORE_CALL = "between intent and call"
    DURING_CALL = "during the call"
    BEFORE_OUTCOME = "between the call's end and the outcome"
    FOUND_OUT = "while what an earlier kill had interrupted was found out about"
    AFTER_OUTCOME = "after the outcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One kill -9.

    Attributes:
        run_began: When the killed run of the agent was started, seconds since the epoch.
        wall: When it was killed, seconds since the epoch.
        monotonic: The same by time.monotonic().
    """

    run_began: float
    wall: float
    monotonic: float


class Killer:
    """Kills one host's agent at random moments.

    Args:
        host: Whose. Its agent speaks to the engine through the proxy.
        tape: What the engine tells.
        chance: Chooses the moments.
    """

    def __init__(self, host: Host, tape: EngineTape, chance: Random) -> None:
        self._host = host
        self._tape = tape
        self._chance = chance
        self._run_began = time.time()
        self._marks = (0, 0, 0)

    def mark(self) -> None:
        """What is waited for happens after this."""
        proxy = self._host.proxy
        assert proxy is not None
        self._marks = (len(self._tape.events), self._newest_row(), len(proxy.requests))

    def _newest_row(self) -> int:
        return int(self._host.agent.query("SELECT coalesce(max(number), 0) FROM ledger")[0][0])

    def kill(self, name: str, container_id: str, *, told: str, did: str, aim: Aim | None = None) -> Kill:
        """Wait for something of that container's action, and a little longer, and kill.

        Args:
            name: The container's.
            container_id: The container's.
            told: What the engine tells of its trouble.
            did: What the engine tells when it has done what the agent asked for.
            aim: What is waited for; by default one of them at random.
        """
        aim = aim or self._chance.choice(list(Aim))
        more = self._chance.uniform(0, _AT_MOST[aim])
        match aim:
            case Aim.TROUBLE_TOLD:
                self._wait_told(name, told)
            case Aim.INTENT_WRITTEN:
                self._wait_row(name)
            case Aim.ENGINE_ASKED:
                self._wait_asked(container_id)
            case Aim.ENGINE_DID:
                self._wait_told(name, did)
            case Aim.ANYTHING:
                pass
        return self.kill_after(more)

    def kill_after(self, seconds: float) -> Kill:
        """Kill so much later."""
        time.sleep(seconds)  # a random moment is what it is about
        kill = Kill(run_began=self._run_began, wall=time.time(), monotonic=time.monotonic())
        self._host.agent.kill()
        return kill

    def start(self, *, ready: bool) -> None:
        """Start the agent again."""
        self._run_began = time.time()
        self._host.agent.start(ready=ready)

    def _wait_told(self, name: str, action: str) -> None:
        self._tape.wait(name, action, since=self._marks[0])

    def kill_at_next_intent(self, *, at_most: float) -> Kill:
        """Kill when the next intent is on disk, whatever it is about, or when there was none for so many seconds."""
        before = self._newest_row()
        deadline = time.monotonic() + at_most
        while self._newest_row() == before and time.monotonic() < deadline:
            time.sleep(0.0002)  # nobody tells of what is on the disk: it is looked at until it is there
        return self.kill_after(self._chance.uniform(0, _AT_MOST[Aim.INTENT_WRITTEN]))

    def _wait_row(self, name: str) -> None:
        deadline = time.monotonic() + patient(15)
        sql = "SELECT 1 FROM ledger WHERE number > ? AND target = ?"
        while not self._host.agent.query(sql, self._marks[1], name):
            assert time.monotonic() < deadline, f"no intent about {name}"
            time.sleep(0.0002)

    def _wait_asked(self, container_id: str) -> None:
        proxy = self._host.proxy
        assert proxy is not None
        proxy.wait_seen("POST", f"/containers/{container_id}/*", since=self._marks[2])


def place(kill: Kill, rows: Sequence[Mapping[str, Any]], calls: Sequence[Request]) -> Place:
    """Where a kill fell.

    Args:
        kill: After the trouble began.
        rows: The ledger's of the container since then, oldest first.
        calls: What the engine was asked of the container since then.
    """
    begun = [row for row in rows if row["at"] <= kill.wall]
    if not begun:
        return Place.BEFORE_INTENT
    row = begun[-1]
    if row["finished_at"] <= kill.wall:
        return Place.AFTER_OUTCOME if done(row) else Place.BEFORE_INTENT
    if row["at"] < kill.run_began:
        return Place.FOUND_OUT
    asked = [call for call in calls if row["at"] <= call.wall <= kill.wall]
    if not asked:
        return Place.BEFORE_CALL
    answered = asked[-1].answered
    return Place.DURING_CALL if answered is None or answered > kill.monotonic else Place.BEFORE_OUTCOME


def done(row: Mapping[str, Any]) -> bool:
    """Whether the ledger says that the engine did it."""
    return row["result"] in {"succeeded", "ineffective"} or row["numbers"].get("engine_did_it") is True
