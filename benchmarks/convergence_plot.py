"""A picture of one run: replicas wanted, and what they were used, over time. SVG as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

WIDTH, HEIGHT = 960, 470
LEFT, RIGHT = 58, 34
UPPER, LOWER = (66, 250), (290, 424)
"""Where the panels stand, top and bottom."""
_POINTS = 360
_COLOURS = ("one", "two")

_STYLE = """
    .paper { fill: #ffffff; stroke: #d0d7de; }
    .load { fill: #afb8c1; fill-opacity: .35; stroke: none; }
    .grid { stroke: #d0d7de; stroke-width: 1; }
    .target { stroke: #57606a; stroke-width: 1.4; stroke-dasharray: 5 4; }
    .one, .two { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
    .one { stroke: #0969da; } .two { stroke: #bc4c00; }
    text { fill: #1f2328; } .small { font-size: 12px; fill: #57606a; }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #0d1117; stroke: #3d444d; }
      .load { fill: #9198a1; fill-opacity: .25; }
      .grid { stroke: #2a3038; } .target { stroke: #9198a1; }
      .one { stroke: #4493f8; } .two { stroke: #f0883e; }
      text { fill: #f0f6fc; } .small { fill: #9198a1; }
    }
  """


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What one scaler did.

    Attributes:
        name: Which.
        wanted: Replicas wanted, second by second.
        utilisation: Of the ready ones, 0 to 1, second by second.
    """

    name: str
    wanted: Sequence[int]
    utilisation: Sequence[float]


def drawn(load: str, needed: Sequence[float], target: float, courses: Sequence[Course], seed: str) -> str:
    """The picture.

    Args:
        load: Its name.
        needed: Replicas that it takes to be on target, second by second.
        target: Utilisation that is aimed at.
        courses: Two at most.
        seed: Which run.
    """
    seconds = len(needed)
    every = max(1, seconds // _POINTS)
    most = 1.08 * max(*needed, *(wanted for course in courses for wanted in course.wanted))
    across = _scale(0, seconds, LEFT, WIDTH - RIGHT)
    up = _scale(0, most, UPPER[1], UPPER[0])
    used = _scale(0, 1, LOWER[1], LOWER[0])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="title"',
        "     font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\" font-size=\"14\">",
        f'  <title id="title">{load}: replicas wanted and utilisation, {" and ".join(c.name for c in courses)}</title>',
        f"  <style>{_STYLE}</style>",
        f'  <rect class="paper" x="1" y="1" width="{WIDTH - 2}" height="{HEIGHT - 2}" rx="10"/>',
        f'  <text x="{LEFT}" y="28" font-weight="600">{load}</text>',
        f'  <text class="small" x="{WIDTH - RIGHT}" y="28" text-anchor="end">seed {seed}</text>',
        *_legend(courses),
        *_grid(_steps(most), up, "{:.0f}"),
        *_grid((0.0, 0.5, 1.0), used, "{:.0%}"),
        *_hours(seconds, across),
    ]
    area = [
        (0, 0.0),
        *((t, _mean(needed, t, every)) for t in range(0, seconds, every)),
        (seconds, needed[-1]),
        (seconds, 0.0),
    ]
    parts.append(f'  <polygon class="load" points="{_points(area, across, up)}"/>')
    for course, colour in zip(courses, _COLOURS, strict=False):
        parts.append(f'  <polyline class="{colour}" points="{_points(_stairs(course.wanted), across, up)}"/>')
    line = used(target)
    parts.append(f'  <line class="target" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{line:.1f}" y2="{line:.1f}"/>')
    for course, colour in reversed(list(zip(courses, _COLOURS, strict=False))):
        means = [(t, _mean(course.utilisation, t, every)) for t in range(0, seconds, every)]
        parts.append(f'  <polyline class="{colour}" points="{_points(means, across, used)}"/>')
    return "\n".join((*parts, "</svg>", ""))


def _legend(courses: Sequence[Course]) -> list[str]:
    parts, x = [], LEFT
    for course, colour in zip(courses, _COLOURS, strict=False):
        parts.append(f'  <line class="{colour}" x1="{x}" x2="{x + 22}" y1="46" y2="46"/>')
        parts.append(f'  <text class="small" x="{x + 28}" y="50">{course.name}</text>')
        x += 50 + 8 * len(course.name)
    parts.append(f'  <rect class="load" x="{x}" y="39" width="22" height="12"/>')
    parts.append(f'  <text class="small" x="{x + 28}" y="50">replicas that it takes to be on target</text>')
    parts.append(f'  <text class="small" x="{LEFT}" y="{LOWER[0] - 12}">utilisation; dashed: target</text>')
    return parts


def _grid(values: Sequence[float], place: Callable[[float], float], form: str) -> list[str]:
    parts = []
    for value in values:
        y = place(value)
        parts.append(f'  <line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        label = form.format(value)
        parts.append(f'  <text class="small" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    return parts


def _hours(seconds: int, across: Callable[[float], float]) -> list[str]:
    step, unit, name = (600, 60, "min") if seconds <= 7200 else (4 * 3600, 3600, "h")
    return [
        f'  <text class="small" x="{across(t):.1f}" y="{LOWER[1] + 20}" text-anchor="middle">{t // unit} {name}</text>'
        for t in range(0, seconds + 1, step)
    ]


def _steps(most: float) -> list[float]:
    step = next(each for each in (1, 2, 5, 10, 20, 50) if most / each <= 6)
    return [float(value) for value in range(0, int(most) + 1, step)]


def _stairs(values: Sequence[int]) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = [(0, values[0])]
    for t, (before, after) in enumerate(pairwise(values), 1):
        if before != after:
            points += [(t, before), (t, after)]
    return [*points, (len(values), values[-1])]


def _mean(values: Sequence[float], begin: int, seconds: int) -> float:
    part = values[begin : begin + seconds]
    return sum(part) / len(part)


def _scale(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    return lambda value: first + (value - low) / (high - low) * (last - first)


def _points(
    points: Sequence[tuple[float, float]], across: Callable[[float], float], up: Callable[[float], float]
) -> str:
    return " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
