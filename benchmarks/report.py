"""Figures beside their limits and peers, in one aligned table, with the machine that they were measured on."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))  # the agent, and the machinery of its tests


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table.

    Attributes:
        name: What was measured.
        value: How much; None: it could not be measured, and the note says why.
        unit: Of value and limit.
        limit: The most it may be, or the least with `at_least`; None: a peer or a floor, for comparison.
        at_least: The limit is a lower one.
        note: What else is to be known.
    """

    name: str
    value: float | None
    unit: str
    limit: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the limit, if any, is met."""
        if self.limit is None:
            return True
        if self.value is None:
            return False
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def options(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line, with `--json`."""
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    return parser.parse_args()


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least that share (0…1) of all does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(name: str, unit: str, values: Sequence[float], limits: dict[float, float], note: str = "") -> list[Figure]:
    """Median, 99th percentile and maximum.

    Args:
        name: What was measured.
        unit: Of the values.
        values: All of them.
        limits: Share -> the most that percentile may be.
        note: Beside the first line.
    """
    shares = {0.5: "p50", 0.99: "p99", 1.0: "max"}
    return [
        Figure(
            name=f"{name}, {word}",
            value=percentile(values, share),
            unit=unit,
            limit=limits.get(share),
            note=f"n={len(values)}{', ' + note if note else ''}" if share == 0.5 else "",
        )
        for share, word in shares.items()
    ]


def machine() -> dict[str, Any]:
    """Where this runs, and on what."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "cores": os.cpu_count(),
        "cpu": model,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "engine": _first_line("dockerd", "--version"),
        "broker": _first_line("mosquitto", "-h"),
        "agent": _first_line("git", "-C", str(CHECKOUT), "log", "-1", "--format=%h"),
        "load_before": os.getloadavg()[0],
    }


def show(title: str, figures: Sequence[Figure], host: dict[str, Any], *, as_json: bool) -> int:
    """Print everything.

    Returns:
        The exit code: 1 when a limit is missed.
    """
    missed = [figure for figure in figures if not figure.met]
    if as_json:
        rows = [asdict(figure) | {"met": figure.met} for figure in figures]
        print(json.dumps({"benchmark": title, "machine": host, "figures": rows}, indent=2))
        return 1 if missed else 0
    print(f"\n{title}")
    print(
        f"{host['cores']} cores ({host['cpu']}), {host['memory_gib']} GiB, Linux {host['kernel']}, "
        f"Python {host['python']},\n{host['engine']}, {host['broker']}, agent at {host['agent']}, "
        f"load before {host['load_before']:.2f}\n"
    )
    width = max(len(figure.name) for figure in figures)
    for figure in figures:
        if figure.value is None:
            print(f"{figure.name:<{width}}  not measured: {figure.note}")
            continue
        value = f"{figure.name:<{width}}  {_number(figure.value):>10} {figure.unit:<3}"
        print(f"{value} {_verdict(figure):<24} {figure.note}".rstrip())
    return 1 if missed else 0


def progress(text: str) -> None:
    """What goes on, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


def _verdict(figure: Figure) -> str:
    if figure.limit is None:
        return ""
    word = "at least" if figure.at_least else "at most"
    return f"{word} {_number(figure.limit)}: {'met' if figure.met else 'MISSED'}"


def _number(value: float) -> str:
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.3f}" if abs(value) < 2 else f"{value:,.2f}" if abs(value) < 100 else f"{value:,.1f}"


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return f"no {command[0]}"
    return (done.stdout or done.stderr).strip().splitlines()[0]
