"""What stands still is named, with how long; what a new start would not mend is not."""

from __future__ import annotations

from watchtower_agent.vitals import Vital, stuck


def vital(moved: float | None, *, within: float = 10.0, excuse: str = "") -> Vital:
    return Vital(name="the loop", moved=lambda: moved, within=within, excuse=lambda: excuse)


def test_what_got_on_in_time_is_not_named() -> None:
    assert stuck([vital(90.0), vital(95.0)], 100.0) == []


def test_what_stands_still_is_named_with_its_time() -> None:
    assert stuck([vital(90.0), vital(70.0)], 100.0) == ["the loop for 30 s"]


def test_what_has_no_reason_to_go_on_does_not_stand_still() -> None:
    assert stuck([vital(None)], 100.0) == []


def test_what_a_new_start_would_not_mend_is_excused() -> None:
    assert stuck([vital(0.0, excuse="the disk does not answer")], 100.0) == []
