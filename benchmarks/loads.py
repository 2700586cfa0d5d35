"""Loads that a service is put under: how many replicas it would take to be on target, second by second."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

HOUR = 3600
SMALLEST, LARGEST = 2.0, 28.0


def _bounded(value: float) -> float:
    return min(LARGEST, max(SMALLEST, value))


def step(rng: random.Random) -> list[float]:
    """Up at once, and down at once a quarter of an hour or more later."""
    low = rng.uniform(2, 8)
    high = _bounded(low * rng.uniform(1.5, 4))
    up = rng.uniform(300, 600)
    down = up + rng.uniform(900, 1500)
    return [high if up <= t < down else low for t in range(HOUR)]


def ramp(rng: random.Random) -> list[float]:
    """Up and down evenly, with a time on top."""
    low = rng.uniform(2, 8)
    high = _bounded(low * rng.uniform(1.5, 4))
    up, top, down = (rng.uniform(300, 900) for _ in range(3))

    def at(t: float) -> float:
        if t < 300 + up:
            return low + (high - low) * max(0.0, t - 300) / up
        return high - (high - low) * min(1.0, max(0.0, t - 300 - up - top) / down)

    return [at(t) for t in range(HOUR)]


def sine(rng: random.Random) -> list[float]:
    """Waves of 15 to 40 minutes."""
    mean = rng.uniform(6, 15)
    height, period, phase = mean * rng.uniform(0.3, 0.7), rng.uniform(900, 2400), rng.uniform(0, 2 * math.pi)
    return [_bounded(mean + height * math.sin(phase + 2 * math.pi * t / period)) for t in range(HOUR)]


def spike(rng: random.Random) -> list[float]:
    """Three spikes of one to three minutes."""
    low = rng.uniform(2, 8)
    load = [low] * HOUR
    for third in range(3):
        begin = third * 1200 + rng.randrange(200, 900)
        length, high, edge = rng.randrange(60, 180), low * rng.uniform(2, 3.5), rng.uniform(5, 20)
        for t in range(begin, min(HOUR, begin + length)):
            share = min(1.0, (t - begin + 1) / edge, (begin + length - t) / edge)
            load[t] = _bounded(low + (high - low) * share)
    return load


def noisy(rng: random.Random) -> list[float]:
    """Wanders about a mean: what it was is half forgotten after half a minute to a minute and a half."""
    mean, deviation, lasts = rng.uniform(4, 15), rng.uniform(0.15, 0.3), rng.uniform(45, 130)
    return [_bounded(mean * (1 + wander)) for wander in _wandering(rng, deviation, lasts, HOUR)]


def day(rng: random.Random) -> list[float]:
    """A night, a day with two peaks, and some bursts an hour."""
    night, peak = rng.uniform(2, 5), rng.uniform(12, 24)
    wanders = _wandering(rng, 0.06, 300, 24 * HOUR)
    load = []
    for t, wander in enumerate(wanders):
        hour = t / HOUR
        shape = math.exp(-(((hour - 11) / 2.8) ** 2)) + 0.85 * math.exp(-(((hour - 19) / 2.3) ** 2))
        load.append((night + (peak - night) * min(1.0, shape)) * (1 + wander))
    begin = rng.expovariate(1 / 1800)
    while begin < len(load):
        length, factor = rng.uniform(60, 300), rng.uniform(1.2, 1.7)
        for t in range(int(begin), min(len(load), int(begin + length))):
            load[t] *= factor
        begin += length + rng.expovariate(1 / 1800)
    return [_bounded(each) for each in load]


def pulses(rng: random.Random) -> list[float]:
    """Pulses of one to four minutes, with lulls of 150 to 300 seconds between them."""
    low = rng.uniform(2, 6)
    high = _bounded(low * rng.uniform(1.5, 3.5))
    load: list[float] = [low] * rng.randrange(150, 300)
    while len(load) < HOUR:
        load += [high] * rng.randrange(60, 240) + [low] * rng.randrange(150, 301)
    return load[:HOUR]


SHORT: dict[str, Callable[[random.Random], list[float]]] = {
    "step": step,
    "ramp": ramp,
    "sine": sine,
    "spike": spike,
    "noisy": noisy,
}
ALL: dict[str, Callable[[random.Random], list[float]]] = {**SHORT, "day": day, "pulses": pulses}


def _wandering(rng: random.Random, deviation: float, lasts: float, seconds: int) -> list[float]:
    keep = math.exp(-1 / lasts)
    fresh = deviation * math.sqrt(1 - keep * keep)
    value, values = rng.gauss(0, deviation), []
    for _ in range(seconds):
        value = keep * value + fresh * rng.gauss(0, 1)
        values.append(value)
    return values
