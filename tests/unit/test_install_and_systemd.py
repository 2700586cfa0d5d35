"""What `scripts/install` asks of systemd, and leaves there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.installer import Installer

_SYSTEMCTL = """
case $1 in
  reset-failed) rm -f %(root)s/failed-too-often ;;
  restart)
    [ ! -e %(root)s/failed-too-often ] || exit 1
    [ %(new)s = starts ] || [ ! -e %(mark)s ] || { touch %(root)s/failed-too-often; exit 1; }
    touch %(root)s/runs ;;
esac
"""


@pytest.mark.parametrize("new", ["starts", "fails, too"])
def test_what_has_failed_too_often_is_started_again(tmp_path: Path, new: str) -> None:
    host = Installer(tmp_path, checks=False)
    (host.version / "new").touch()
    mark = host.home / "share" / "config" / "new"
    host.stand_in("systemctl", _SYSTEMCTL % {"root": host.root, "new": f'"{new}"', "mark": mark})
    (host.home / "share").mkdir(parents=True)
    (host.root / "failed-too-often").touch()
    done = host.run()
    assert (host.root / "runs").exists(), done.stderr
    assert done.returncode == (0 if new == "starts" else 1), done.stderr
    assert mark.exists() == (new == "starts"), "else the version before is back"


def test_after_a_purge_nothing_stays_of_the_unit_and_after_a_removal_what_was_edited(tmp_path: Path) -> None:
    host = Installer(tmp_path, checks=False)
    host.stand_in("userdel", "")
    edited = host.root / "etc" / "systemd" / "system" / "watchtower-agent.service.d"
    edited.mkdir()
    host.done("--uninstall")
    assert edited.exists()
    host.done("--uninstall", "--purge")
    assert not edited.exists()
