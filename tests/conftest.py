"""Fixtures shared by all tests: real parts, private to this run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.agent import make_host, module_broker  # noqa: F401 - fixtures
from tests.support.agent_image import agent_image, wheels  # noqa: F401 - fixtures
from tests.support.broker import broker, contract, make_broker, subscriber  # noqa: F401 - fixtures
from tests.support.command_line import socket  # noqa: F401 - fixtures
from tests.support.engine import PrivateEngine
from tests.support.numbers import FEW, FULL, examples

# How long an example takes is not what properties are about, and a busy machine takes its time.
settings.register_profile("untimed", deadline=None, max_examples=examples(100))
settings.load_profile("untimed")
settings.register_profile(FEW, deadline=None, max_examples=20)


@pytest.fixture(scope="session")
def shared_engine() -> Iterator[PrivateEngine]:
    """One private engine for the whole run. Tests use `engine`, which cleans up after each."""
    with PrivateEngine() as engine:
        yield engine


@pytest.fixture
def engine(shared_engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """The run's engine, with `busybox:local` and no containers. Never stop, kill or freeze this one."""
    yield shared_engine
    shared_engine.sweep()


@pytest.fixture
def own_engine() -> Iterator[PrivateEngine]:
    """An engine of the test's own (about 1.5 s): to be killed, frozen, restarted."""
    with PrivateEngine() as engine:
        yield engine


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only full runs have time for, and what a second Python need not repeat: told as `deselected`."""
    unwanted = set() if FULL else {"only_full"}
    if settings.get_current_profile_name() == FEW:
        unwanted.add("long")
    left_out = [item for item in items if any(mark.name in unwanted for mark in item.iter_markers())]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
