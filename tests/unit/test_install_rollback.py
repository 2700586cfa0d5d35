"""An upgrade in place whose new version does not start: the version before is back, with the configuration it had."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.installer import Installer

_FAILS = '[ "$1" != restart ]'
_INTERRUPTED = """
[ "$1" != restart ] || [ -e %(root)s/interrupted ] || { touch %(root)s/interrupted; kill -%(signal)s 0; }
"""


@pytest.mark.parametrize("end", ["fails", "INT", "TERM"])
def test_an_upgrade_that_does_not_come_to_its_end_leaves_all_as_it_was(tmp_path: Path, end: str) -> None:
    host = Installer(tmp_path, checks=False)
    host.stand_in("systemctl", _FAILS if end == "fails" else _INTERRUPTED % {"root": host.root, "signal": end})
    shipped = host.home / "share" / "config"
    for folder in (host.configuration, shipped):
        folder.mkdir(parents=True)
        (folder / "agent.yaml").write_text("# what the version before shipped\n")

    done = host.run()

    assert done.returncode == (1 if end == "fails" else -getattr(signal, f"SIG{end}")), done.stderr
    assert "the version before is" in done.stderr
    assert (host.configuration / "agent.yaml").read_text() == "# what the version before shipped\n"
    assert [path.name for path in host.configuration.rglob("*") if path.is_file()] == ["agent.yaml"]
    assert (shipped / "agent.yaml").exists(), "the version before stands where it stood"
    assert [path.name for path in (host.root / "opt").iterdir()] == ["watchtower-agent"]
