"""What a payload says of a metric, and how old that is."""

from __future__ import annotations

import json

import pytest

from tests.support.core import NOW
from watchtower_agent.model.instant import AHEAD, Instant
from watchtower_agent.model.observation import ReadingObserved
from watchtower_agent.sources.reading import answered, published, unanswered, unknown

AT = Instant(wall=NOW, monotonic=1000.0)


def stamped(at: object) -> bytes:
    return json.dumps({"depth": 7, "time": at}).encode()


def test_what_was_published_just_now() -> None:
    assert published("m", b"42", (), AT, retained=False) == ReadingObserved(name="m", value=42.0, moment=1000.0)


@pytest.mark.parametrize("stamp", [NOW - 3600, NOW + 3600, "yesterday"])
def test_of_what_comes_as_it_is_published_nobodys_clock_is_asked(stamp: object) -> None:
    reading = published("m", stamped(stamp), ("depth",), AT, retained=False)

    assert (reading.value, reading.age) == (7.0, 0.0)


@pytest.mark.parametrize(
    ("stamp", "age"), [(NOW - 90.5, 90.5), (NOW, 0.0), (NOW + AHEAD, 0.0), ("2026-09-21T14:13:10Z", 10)]
)
def test_what_the_broker_had_kept_is_as_old_as_its_stamp(stamp: object, age: float) -> None:
    reading = published("m", stamped(stamp), ("depth",), AT, retained=True)

    assert (reading.value, reading.age, reading.why) == (7.0, age, "")


@pytest.mark.parametrize(
    ("payload", "path", "why"),
    [
        (b"42", (), "the broker had kept it, and no `time` in it says since when"),
        (b'{"depth": 7}', ("depth",), "the broker had kept it, and no `time` in it says since when"),
        (stamped(NOW + AHEAD + 1), ("depth",), "its `time` is more than 60 s ahead of this host's clock"),
        (stamped(NOW), ("size",), "there is no size"),
    ],
)
def test_else_it_is_not_known(payload: bytes, path: tuple[str, ...], why: str) -> None:
    reading = published("m", payload, path, AT, retained=True)

    assert (reading.value, reading.why) == (None, f"what was published can't be used: {why}")


def test_an_answer_without_a_date_is_true_when_it_comes() -> None:
    assert answered("m", b"7", (), AT) == ReadingObserved(name="m", value=7.0, moment=1000.0)
    assert answered("m", b"[]", (), AT).why == "the answer can't be used: it is a list, not a number"


@pytest.mark.parametrize(
    ("stamp", "age"),
    [(NOW - 3600, 3600.0), (NOW + 3600, 0.0), (NOW * 1000, 0.0), (0.25, 0.0), ("yesterday", 0.0)],
    ids=["written an hour ago", "ahead", "milliseconds", "how long it took", "no date"],
)
def test_an_answer_is_as_old_as_it_says(stamp: object, age: float) -> None:
    reading = answered("m", stamped(stamp), ("depth",), AT)

    assert (reading.value, reading.age, reading.why) == (7.0, age, "")


def test_nothing_known_has_a_reason() -> None:
    assert unknown("m", "why", AT) == ReadingObserved(name="m", value=None, moment=1000.0, why="why")
    assert unanswered("m", "why", AT).silent
