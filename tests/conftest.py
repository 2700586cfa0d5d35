"""Fixtures shared by all tests: real parts, private to this run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.agent import make_host, module_broker  # noqa: F401 - fixtures
from tests.support.broker import broker, make_broker, subscriber  # noqa: F401 - fixtures
from tests.support.engine import PrivateEngine

# How long an example takes is not what properties are about, and a busy machine takes its time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


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
