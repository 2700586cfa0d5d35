"""The Debian package, put in and out by dpkg itself: what becomes of the configuration and of the service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.debian_host import DebianHost, Package
from tests.support.installer import Installer

DELETED, CHANGED = "prune-disk.yaml", "notify-oom.yaml"
UNIT = "watchtower-agent.service"
STARTED = ["daemon-reload", f"enable --quiet {UNIT}", f"start {UNIT}"]


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package(tmp_path / "package")


@pytest.fixture
def host(tmp_path: Path, package: Package) -> DebianHost:
    """The first version is installed, and runs."""
    debian = DebianHost(tmp_path / "debian")
    debian.dpkg("--install", package.build("1"))
    assert debian.told_systemd() == STARTED
    debian.runs(active=True)
    return debian


def remove(host: DebianHost, how: str = "--remove") -> str:
    said = host.dpkg(how, "watchtower-agent")
    assert f"disable --now --quiet {UNIT}" in host.told_systemd()
    host.runs(active=False)
    return said


def test_a_policy_that_was_deleted_stays_so_and_what_was_removed_is_started_when_it_is_installed_again(
    host: DebianHost, package: Package
) -> None:
    (host.configuration / "policies" / DELETED).unlink()
    with (package.configuration / "policies" / DELETED).open("a") as shipped:
        shipped.write("# a newer version's\n")
    host.dpkg("--install", package.build("2"))
    assert host.told_systemd() == ["daemon-reload", "daemon-reload", f"try-restart {UNIT}"]  # the first by postrm
    assert DELETED not in host.policies()

    remove(host)
    assert DELETED not in host.policies()
    host.dpkg("--install", package.build("3"))
    assert host.told_systemd() == STARTED
    assert DELETED not in host.policies()
    assert host.hidden() == []


def test_what_runs_is_left_to_run_where_the_new_version_does_not_accept_the_configuration(
    host: DebianHost, package: Package
) -> None:
    refusal = host.root / "refuses"
    refusal.write_text("agent.yaml:3:1: this is wrong\n")
    said = host.dpkg("--install", package.build("2"))
    assert "agent.yaml:3:1: this is wrong" in said
    assert "the version before goes on running until the next start" in said
    assert [call for call in host.told_systemd() if call != "daemon-reload"] == []

    # once it is mended the package goes on as always
    refusal.unlink()
    host.dpkg("--install", package.build("3"))
    assert f"try-restart {UNIT}" in host.told_systemd()


def test_what_had_failed_too_often_is_started_by_an_upgrade_and_what_was_stopped_stays_so(
    host: DebianHost, package: Package
) -> None:
    host.runs(active=False)
    host.dpkg("--install", package.build("2"))
    assert f"start {UNIT}" not in host.told_systemd()

    host.fails()
    host.dpkg("--install", package.build("3"))
    assert host.told_systemd()[-2:] == [f"reset-failed {UNIT}", f"start {UNIT}"]


def test_purged_nothing_stays_but_a_rule_of_somebodys_which_is_told(host: DebianHost) -> None:
    rule = host.root / "etc/polkit-1/rules.d/50-watchtower-agent.rules"
    rule.parent.mkdir(parents=True)
    rule.write_text("// somebody's\n")
    (host.root / "var/lib/watchtower-agent").mkdir(exist_ok=True)
    said = remove(host, "--purge")
    assert "/etc/polkit-1/rules.d/50-watchtower-agent.rules was copied by hand and stays" in said
    left = {path for path in host.root.rglob("*watchtower*") if "var/lib/dpkg" not in str(path)}
    assert left == {rule}


def test_what_was_deleted_stays_so_where_the_package_and_scripts_install_take_turns(
    host: DebianHost, package: Package, tmp_path: Path
) -> None:
    installer = Installer(tmp_path / "installer", checks=False)

    (host.configuration / "policies" / DELETED).unlink()
    (host.configuration / "policies" / CHANGED).write_text("# changed\n")
    remove(host)
    host.configuration.rename(installer.configuration)
    said = installer.done()
    assert f"{DELETED} was deleted and does not come back" in said
    assert DELETED not in installer.policies()
    assert installer.policies()[CHANGED] == "# changed\n"
    assert f"{CHANGED}.new" not in installer.policies(), "the shipped one is as it was"

    installer.done("--uninstall")
    another = DebianHost(tmp_path / "another")  # dpkg knows nothing here
    installer.configuration.rename(another.configuration)
    said = another.dpkg("--install", package.build("2"))
    assert DELETED not in another.policies()
    assert (another.configuration / "policies" / CHANGED).read_text() == "# changed\n"
    assert another.hidden() == []
    assert another.told_systemd() == STARTED


def test_an_installation_that_fails_leaves_nothing(package: Package, tmp_path: Path) -> None:
    host = DebianHost(tmp_path / "debian")
    cut_short = package.build("1")
    cut_short.write_bytes(cut_short.read_bytes()[:-2000])
    with pytest.raises(AssertionError, match="unexpected end of file"):
        host.dpkg("--install", cut_short)
    assert not host.configuration.exists()
