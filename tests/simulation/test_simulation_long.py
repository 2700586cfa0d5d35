"""A host for days: two hundred containers that leak, crash, flap and fail together, people, outages, a mortal agent."""

from __future__ import annotations

import time

from tests.support.numbers import FULL, drill
from tests.support.simulation.simulation import host_of

DAY = 86_400.0


def test_two_hundred_containers_for_thirty_days() -> None:
    """Two days in reduced numbers. Thirty have to take less than a minute of a processor."""
    days = drill(reduced=2, full=30)
    begun = time.process_time()
    simulation = host_of(200, seed=11, interval=1200.0)
    simulation.run(days * DAY)

    assert [what for _, what in simulation.violations] == []
    assert simulation.agent.actions > 5 * days
    assert time.process_time() - begun < 60 or not FULL
