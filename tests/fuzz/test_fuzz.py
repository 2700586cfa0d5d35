"""Each door of the agent bears what comes at random: a few hundred inputs here, many more by `scripts/fuzz`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.fuzzing import Finding, Fuzzer, tried
from tests.fuzz.targets import TARGETS, Target

FINDINGS = Path(__file__).resolve().parents[1] / "data" / "fuzz"
INPUTS = 400


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_comes_at_random_is_borne(target: Target) -> None:
    left = iter(range(INPUTS))
    fuzzer = Fuzzer(target, random.Random(target.name))

    assert list(fuzzer.findings(lambda: next(left, None) is not None)) == []
    assert fuzzer.tries >= INPUTS


def test_what_was_not_borne_once_is_borne() -> None:
    found = [tried(target, file.read_bytes()) for target in TARGETS for file in (FINDINGS / target.name).glob("*")]
    assert [each for each in found if isinstance(each, Finding)] == []


def test_what_a_target_does_not_bear_is_found_and_told_once() -> None:
    def take(data: bytes) -> str:
        assert b"{}" not in data, "braces"
        return str(len(data) % 7)

    fuzzer = Fuzzer(Target(name="strict", take=take, seeds=(b"x{y}",), words=()), random.Random(1))
    left = iter(range(20_000))

    (finding,) = fuzzer.findings(lambda: next(left, None) is not None)

    assert (finding.target, b"{}" in finding.data) == ("strict", True)
    assert "braces" in finding.why


def test_what_takes_for_ever_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(_data: bytes) -> str:
        while True:
            pass

    monkeypatch.setattr("tests.fuzz.fuzzing.SLOW", 0.1)
    became = tried(Target(name="endless", take=take, seeds=()), b"")

    assert isinstance(became, Finding)
    assert "TooSlowError" in became.why
