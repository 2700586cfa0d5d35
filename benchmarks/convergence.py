"""How scaling converges: the agent's core on simulated services, beside a threshold scaler and the Kubernetes HPA."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
from collections import defaultdict
from dataclasses import astuple
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from convergence_plot import Course, drawn
from loads import ALL, SHORT
from queue_model import Service, Tally
from report import Figure, machine, options, progress, show
from scalers import HPA, OURS, RULE, THRESHOLD, made

MEASURES = (
    "s above target",
    "s above 1.1 · target",
    "s with a queue over 1 s",
    "replica-hours",
    "changes",
    "reversals",
)
TIMES = MEASURES[:3]
COUNTS_FROM = 10.0
"""Seconds of the baseline from which on a time is compared."""
ROW = "fresh"
"""The seeds that are printed. Rules are chosen on others: once these have been looked at for that, they are others."""
SUMS = {"s above target": 0.90, "s above 1.1 · target": 0.75, "replica-hours": 1.01, "reversals": 0.90}


class Run(NamedTuple):
    """One service under one load with one scaler."""

    load: str
    scaler: str
    seed: str


Means = dict[tuple[str, str], dict[str, float]]
"""Load and scaler -> measure -> its mean over all seeds."""


def simulated(run: Run) -> Service:
    """The service when the load is over."""
    seed = f"{run.load} {run.seed}"
    service = Service.drawn(ALL[run.load](random.Random(f"load {seed}")), seed)
    scaler = made(run.scaler, seed)
    for _ in service.load:
        service.tick()
        scaler.look(service)
    return service


def tallied(run: Run) -> tuple[Run, Tally]:
    """What became of it, without the service: that is large."""
    return run, simulated(run).tally


def means(seeds: int, days: int, row: str, processes: int) -> Means:
    """Every load with every scaler, on as many seeds."""
    # days first: they take longest, and nothing is to be waited for at the end
    order = ["day", *(name for name in ALL if name != "day")]
    runs = [
        Run(load, scaler, f"{row}-{number}")
        for load in order
        for number in range(days if load == "day" else seeds)
        for scaler in (OURS, HPA, RULE, THRESHOLD)
    ]
    tallies: dict[tuple[str, str], list[tuple[float, ...]]] = defaultdict(list)
    with multiprocessing.Pool(processes) as pool:
        for done, (run, tally) in enumerate(pool.imap_unordered(tallied, runs, chunksize=4), 1):
            above, far, queued, replica_seconds, changes, reversals = astuple(tally)
            values = (above, far, queued, replica_seconds / 3600, changes, reversals)
            tallies[run.load, run.scaler].append(values)
            if done % 400 == 0 or done == len(runs):
                progress(f"{done} of {len(runs)} runs")
    return {
        key: dict(zip(MEASURES, (sum(column) / len(column) for column in zip(*rows, strict=True)), strict=True))
        for key, rows in tallies.items()
    }


def compared(found: Means, load: str, other: str) -> list[Figure]:
    """Ours beside one of the HPA's on one load."""
    ours, theirs = found[load, OURS], found[load, other]
    figures = []
    for measure in (*TIMES, "replica-hours"):
        if measure in TIMES and theirs[measure] < COUNTS_FROM:
            continue
        limit: float | None = 1.02 if measure == "replica-hours" else 1.0
        if load not in SHORT and load != "day":
            limit = None if other != HPA else {"replica-hours": 1.05, "s above 1.1 · target": 2.0}.get(measure)
        figures.append(
            Figure(
                name=f"{load}: {measure} / {other}",
                value=ours[measure] / theirs[measure],
                unit="",
                limit=limit,
                note=f"{ours[measure]:.1f} and {theirs[measure]:.1f}",
            )
        )
    figures.append(
        Figure(
            name=f"{load}: reversals - {other}",
            value=ours["reversals"] - theirs["reversals"],
            unit="",
            limit=0.25 if load in SHORT or load == "day" else None,
            note=f"{ours['reversals']:.2f} and {theirs['reversals']:.2f}",
        )
    )
    return figures


def summed(found: Means) -> list[Figure]:
    """Ours beside the HPA as deployed, over the five short loads."""
    sums = {
        (scaler, measure): sum(found[load, scaler][measure] for load in SHORT)
        for scaler in (OURS, HPA)
        for measure in SUMS
    }
    return [
        Figure(
            name=f"short loads together: {measure} / {HPA}",
            value=sums[OURS, measure] / sums[HPA, measure],
            unit="",
            limit=limit,
        )
        for measure, limit in SUMS.items()
    ]


def table(found: Means) -> None:
    """The means themselves."""
    print(f"\n{'means of a run':<34}{''.join(f'{measure:>25}' for measure in MEASURES)}")
    for (load, scaler), row in sorted(found.items(), key=lambda item: list(ALL).index(item[0][0])):
        print(f"{load:<9}{scaler:<25}{''.join(f'{row[measure]:>25,.2f}' for measure in MEASURES)}")


def plots(folder: Path, seed: str) -> None:
    """One of each load, ours beside the HPA's."""
    folder.mkdir(parents=True, exist_ok=True)
    for load in ALL:
        progress(f"plot of {load}")
        services = {scaler: simulated(Run(load, scaler, seed)) for scaler in (OURS, HPA)}
        target = services[OURS].target
        courses = [
            Course(
                name=name,
                wanted=service.wanted_over_time,
                utilisation=[after - before for before, after in pairwise(service.used)],
            )
            for name, service in services.items()
        ]
        text = drawn(load, services[OURS].load, target, courses, seed)
        (folder / f"{load}.svg").write_text(text, encoding="utf-8")


def main() -> int:
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="of each short load, and of pulses")
    parser.add_argument("--days", type=int, default=20, help="seeds of the day")
    parser.add_argument("--row", default=ROW, help=f"which row of seeds; rules are chosen on others than `{ROW}`")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="also draw the first seed of each load")
    chosen = options(parser)
    host = machine()
    found = means(chosen.seeds, chosen.days, chosen.row, chosen.processes)
    if chosen.plots:
        plots(chosen.plots, f"{chosen.row}-0")
    figures = [
        figure for other in (HPA, RULE) for load in (*SHORT, "day", "pulses") for figure in compared(found, load, other)
    ]
    figures += summed(found)
    if chosen.json:
        figures += [
            Figure(name=f"{load}, {scaler}: {measure}", value=value, unit="")
            for (load, scaler), row in found.items()
            for measure, value in row.items()
        ]
    else:
        table(found)
    title = f"Convergence of scaling, seeds {chosen.row}-0 to {chosen.row}-{chosen.seeds - 1}, {chosen.days} of the day"
    return show(title, figures, host, as_json=chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
