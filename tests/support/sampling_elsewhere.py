"""A program that samples containers from wherever it is started, and writes what it found as JSON.

Its one argument is a JSON list of `SampleTarget`s' fields. Its clock is moved by itself, so it takes no time.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.agent import CHECKOUT
from tests.support.cgroups import Bench
from watchtower_agent.model.sample import SampleTarget

TICKS = 25
"""Enough for what is told only after a while."""

Found = Mapping[str, Any]
"""`columns`: name -> one number for each target, None for unknown. `failures`: collector -> a sentence."""


def sample(targets: Sequence[SampleTarget]) -> Found:
    """What a reader finds here."""
    bench = Bench(Path("/sys/fs/cgroup"), Path("/proc"))
    bench.watch(*targets)
    last = [bench.tick() for _ in range(TICKS)][-1]
    bench.reader.close()
    columns = {name: [None if math.isnan(v) else v for v in column] for name, column in last.batch.columns.items()}
    return {"columns": columns, "failures": dict(last.failures)}


def command(targets: Sequence[SampleTarget]) -> list[str]:
    """What runs this program."""
    names = ("container_id", "pid", "cgroup_parent", "own_network")
    fields = [{name: getattr(target, name) for name in names} for target in targets]
    # not -m: the folder from which it starts may be another
    run = f"runpy.run_module({__name__!r}, run_name='__main__')"
    start = f"import runpy, sys; sys.path.insert(0, {str(CHECKOUT)!r}); {run}"
    return [sys.executable, "-c", start, json.dumps(fields)]


if __name__ == "__main__":
    json.dump(sample([SampleTarget(**fields) for fields in json.loads(sys.argv[1])]), sys.stdout)
