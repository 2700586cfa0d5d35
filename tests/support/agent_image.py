"""The container image, built once for a run without a network, on a base of the tests' own making."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import PrivateEngine

CHECKOUT = Path(__file__).resolve().parents[2]
BASE = "test-base:local"
IMAGE = "watchtower-agent:test"


def run(*command: str | Path) -> str:
    """Run a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the lock files list, for the Python of this machine's Debian: the image is built from it alone."""
    folder = tmp_path_factory.mktemp("wheels")
    version = run("/usr/bin/python3", "-c", "import sys; print(*sys.version_info[:2], sep='.')").strip()
    locks = [f"--requirement={CHECKOUT / name}" for name in ("requirements.lock", "requirements-build.lock")]
    pip = (sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--require-hashes", "--only-binary=:all:")
    run(*pip, f"--python-version={version}", f"--dest={folder}", *locks)
    return folder


@pytest.fixture(scope="session")
def agent_image(shared_engine: PrivateEngine, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image, built as the Dockerfile says on a base of Debian's packages."""
    archive = tmp_path_factory.mktemp("base") / "base.tar"
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    run("mmdebstrap", "--quiet", "--variant=essential", "--include=python3-venv", suite, archive)
    shared_engine.docker("import", str(archive), BASE)
    archive.unlink()
    arguments = (f"--build-arg=BASE={BASE}", "--build-arg=PIP_NO_INDEX=1", f"--build-context=wheels={wheels}")
    shared_engine.docker("build", "--network=none", *arguments, f"--tag={IMAGE}", str(CHECKOUT), timeout=300)
    yield IMAGE
    shared_engine.docker("rmi", "--force", IMAGE, BASE)
