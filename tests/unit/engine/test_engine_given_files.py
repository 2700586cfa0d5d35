"""Which files Compose put into a container: by what the engine says of them, junk or not."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.engine.given_files import MOST_LOOKED_AT, blocker, looked_at, was_put_in

MADE = "2026-11-24T17:36:35.778580123Z"


def stat(**fields: object) -> str:
    """As the engine writes it."""
    told = {"name": "a", "size": 1, "mode": 0o444, "mtime": "2026-11-24T17:36:35Z", "linkTarget": ""}
    return base64.b64encode(json.dumps(told | fields).encode()).decode()


@pytest.mark.parametrize(
    ("fields", "put_in"),
    [
        ({}, True),
        ({"mtime": "2026-11-24T18:36:36+01:00"}, True),
        ({"mtime": "2026-11-24T17:36:36.000000001Z"}, False),  # as a file system has it
        ({"mtime": "2026-11-24T17:36:34Z"}, False),  # unpacked, and older
        ({"mtime": "2026-11-24T17:37:36Z"}, False),
        ({"mtime": "yesterday"}, False),
        ({"mode": 2147484141}, False),  # a folder
        ({"mode": 134218239}, False),  # a link
        ({"mode": None}, False),
    ],
)
def test_it_came_from_an_archive_right_after_the_container_was_made(fields: dict[str, object], put_in: bool) -> None:
    assert was_put_in(stat(**fields), MADE) is put_in


@given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()), st.none() | st.text() | st.integers())
def test_junk_is_nothing(junk: str, created: object) -> None:
    assert was_put_in(junk, MADE) is False
    assert was_put_in(stat(), created) in {True, False}


def test_secrets_are_looked_at_first_and_folders_and_what_was_removed_not_at_all() -> None:
    changes = [
        {"Path": "/etc", "Kind": 0},
        {"Path": "/etc/app.conf", "Kind": 1},
        {"Path": "/gone", "Kind": 2},
        {"Path": "/run/secrets/token", "Kind": 1},
        {"Path": "/own", "Kind": 1},
        "junk",
    ]
    assert looked_at(changes) == ("/run/secrets/token", "/etc/app.conf", "/own")
    assert looked_at(None) == ()


def test_of_very_many_only_some_are_looked_at_those_with_few_beside_them_first() -> None:
    cached = [{"Path": f"/cache/{number}", "Kind": 1} for number in range(10_000)]
    found = looked_at([*cached, {"Path": "/srv/web/app.conf", "Kind": 1}])
    assert found[0] == "/srv/web/app.conf"
    assert len(found) == MOST_LOOKED_AT


def test_without_any_nothing_stands_against_a_clone() -> None:
    assert blocker([]) == ""
    assert blocker(["/a", "/b"]).startswith("Compose put /a, /b into it, which its clone would be without")
