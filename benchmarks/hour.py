"""An agent that is given an hour in half a minute: `hour.py ROWS MARK ARGUMENTS-OF-WATCHTOWER-AGENT…`.

It is the agent, as `watchtower-agent run` runs it: real engine, broker, store, sampler and containers. Once it has
taken in a few ticks of its own, its clocks are put forward by one interval at a time, and its newest tick, with other
numbers in fresh columns, comes in again by the same door, as often as there are seconds in an hour, with the engine's
sign of life every five of them. So each row goes through everything that a row of the sampler's goes through: state,
history, policies, publication. What takes no part is what reads them: the sampler goes on at its own pace. Once all
rows were taken in, the file MARK is made.
"""

from __future__ import annotations

import asyncio
import sys
from array import array
from dataclasses import dataclass, field, replace
from pathlib import Path

from watchtower_agent.clock import SystemClock
from watchtower_agent.loop.inbox import Inbox
from watchtower_agent.loop.observations import Observation
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import EnginePinged
from watchtower_agent.model.sample import SampleBatch

_OWN_TICKS = 20
_PING_EVERY = 5

_now, _put = SystemClock.now, Inbox.put


@dataclass(slots=True)
class Hour:
    """The hour, before, while and after it passes."""

    rows: int
    mark: Path
    ahead: float = 0.0
    seen: int = 0
    ping: EnginePinged | None = None
    passing: asyncio.Task[None] | None = None

    clock: SystemClock = field(default_factory=SystemClock)

    def now(self) -> Instant:
        """The present moment, so much later."""
        real = _now(self.clock)
        return replace(real, wall=real.wall + self.ahead, monotonic=real.monotonic + self.ahead)

    def put(self, inbox: Inbox, observation: Observation) -> None:
        """What comes in; the first ticks of its own set the hour going."""
        if isinstance(observation, EnginePinged):
            self.ping = observation
        if isinstance(observation, SampleBatch) and observation.targets:
            self.seen += 1
            if self.seen == _OWN_TICKS:
                self.passing = asyncio.get_running_loop().create_task(self._pass(inbox, observation))
            elif self.passing is not None and not self.passing.done():
                return  # it would take the place of one of the hour's
        _put(inbox, observation)

    async def _pass(self, inbox: Inbox, tick: SampleBatch) -> None:
        for number in range(self.rows):
            await self._taken(inbox)
            self.ahead += tick.interval
            if self.ping is not None and number % _PING_EVERY == 0:
                _put(inbox, replace(self.ping, at=self.now().wall))
            _put(inbox, _other(tick, number, self.now()))
        await self._taken(inbox)
        self.mark.touch()

    async def _taken(self, inbox: Inbox) -> None:
        """Until the loop has taken everything: it is awaited, since a newer tick takes the place of an older one."""
        while len(inbox):  # noqa: ASYNC110 - an inbox tells nobody that it is empty
            await asyncio.sleep(0)


def _other(tick: SampleBatch, number: int, at: Instant) -> SampleBatch:
    """A tick of that moment: the numbers go up and down by a tenth within ten minutes, in columns of their own."""
    factor = 0.9 + 0.1 * abs(number % 600 - 300) / 300
    columns = {
        name: array(column.typecode, [value * factor for value in column]) for name, column in tick.columns.items()
    }
    return replace(tick, at=at, columns=columns, host={name: value * factor for name, value in tick.host.items()})


def main() -> None:
    rows, mark, *sys.argv[1:] = sys.argv[1:]
    hour = Hour(rows=int(rows), mark=Path(mark))

    def put(inbox: Inbox, observation: Observation) -> None:
        hour.put(inbox, observation)

    SystemClock.now = hour.now  # type: ignore[assignment, method-assign]
    Inbox.put = put  # type: ignore[assignment, method-assign]
    from watchtower_agent.cli.commands import main as agent  # noqa: PLC0415 - it takes the time of its own imports

    sys.exit(agent())


if __name__ == "__main__":
    main()
