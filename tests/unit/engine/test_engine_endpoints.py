"""What the agent asks of an engine is on a list, which the documentation shows and a proxy can hold it to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from watchtower_agent.engine.endpoints import ENDPOINTS, endpoint_of, ours
from watchtower_agent.errors import PermanentError

PAGE = Path(__file__).parents[3] / "docs/engine-access.md"
SOURCES = Path(__file__).parents[3] / "watchtower_agent/engine"


@pytest.mark.parametrize(
    ("method", "path", "endpoint"),
    [
        ("GET", "/containers/json", "/containers/json"),
        ("GET", "/containers/abc/json", "/containers/{id}/json"),
        ("GET", "/images/json", "/images/json"),
        ("GET", "/images/registry:5000/a/b:1/json", "/images/{name}/json"),
        ("DELETE", "/images/sha256:abc", "/images/{name}"),
        ("POST", "/containers/abc/restart", "/containers/{id}/restart"),
    ],
)
def test_what_is_on_the_list_is_found(method: str, path: str, endpoint: str) -> None:
    found = endpoint_of(method, path)
    assert found is not None
    assert found.path == endpoint
    assert ours(method, path) == path


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/containers/abc/exec"),
        ("POST", "/containers/json"),
        ("GET", "/containers/abc/archive"),
        ("GET", "/containers/a/b/json"),
        ("GET", "/containers/../json"),
        ("DELETE", "/images/a/../../containers/abc"),
        ("POST", "/images/create"),
        ("GET", "/secrets"),
        ("PUT", "/containers/abc/archive"),
    ],
)
def test_anything_else_is_not_asked(method: str, path: str) -> None:
    assert endpoint_of(method, path) is None
    with pytest.raises(PermanentError, match="never asks"):
        ours(method, path)


def test_the_page_lists_each_with_what_it_is_needed_for() -> None:
    rows = re.findall(r"^\| `(GET|HEAD|POST|DELETE) (\S+)` \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == [(e.method, e.path, "; ".join(need.value for need in e.needs)) for e in ENDPOINTS]


def test_each_is_asked_somewhere() -> None:
    """Its last words stand in a module of this package: one that nothing asks any more is taken off the list."""
    asked = "".join(file.read_text() for file in SOURCES.glob("*.py") if file.name != "endpoints.py")
    verbs = set(re.findall(r'"(restart|start|stop|kill|pause|unpause)"', asked))
    for endpoint in ENDPOINTS:
        last = endpoint.path.rpartition("/")[2]
        if last in {"{id}", "{name}"}:
            last = endpoint.path.split("/")[1]
        assert f"/{last}" in asked or last in verbs, endpoint
