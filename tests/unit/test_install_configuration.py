"""What `scripts/install` makes of the configuration: checked as it will be, and what was deleted stays so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.installer import Installer

_UNKNOWN_HERE = """
version: 1
policies:
  - name: of-another-version
    when: moon.phase > 1
    then: {notify: {}}
"""
_OWN = """version: 1
policies:
  - name: %s
    on: {container: oom}
    select: {name: web}
    then: {notify: {}}
"""
_RENEWED, _DELETED = "notify-oom.yaml", "prune-disk.yaml"


@pytest.fixture
def host(tmp_path: Path) -> Installer:
    """A host on which the present version was installed."""
    return installed(Installer(tmp_path))


@pytest.fixture
def credulous(tmp_path: Path) -> Installer:
    """The same, and every configuration is accepted: a check takes a second."""
    return installed(Installer(tmp_path, checks=False))


def installed(installer: Installer) -> Installer:
    """It gets all that is shipped."""
    installer.done()
    assert set(installer.policies()) == {path.name for path in (installer.version / "policies").iterdir()}
    return installer


def older_shipped(host: Installer, name: str, text: str) -> None:
    """The version before had shipped a file otherwise; nobody has changed it."""
    for folder in (host.configuration, host.home / "share" / "config"):
        (folder / name).write_text(text)


def test_what_only_the_version_before_understood_is_renewed_and_no_reason_to_refuse(host: Installer) -> None:
    older_shipped(host, f"policies/{_RENEWED}", _UNKNOWN_HERE)
    older_shipped(host, "agent.yaml", "of_another_version: 1\n")
    host.done()
    assert host.policies()[_RENEWED] == (host.version / "policies" / _RENEWED).read_text()
    assert (host.configuration / "agent.yaml").read_text() == (host.version / "agent.yaml").read_text()


@pytest.mark.parametrize("settings", ["policies: {folder}", "log: {{level: info}}"])
def test_a_new_shipped_policy_that_clashes_with_somebodys_own_is_found_before_anything_is_touched(
    host: Installer, settings: str
) -> None:
    policies = host.configuration / "policies"
    (host.configuration / "agent.yaml").write_text(settings.format(folder=policies) + "\n")
    (policies / "own.yaml").write_text(_OWN % "watch-all")
    (host.version / "policies" / "watch.yaml").write_text(_OWN % "watch-all")
    before = host.files()

    refused = host.run()

    assert refused.returncode == 1
    clash = f'{policies}/watch.yaml:3:11: policies[0].name: the name "watch-all" is taken'
    assert clash in refused.stderr
    assert "these of the new version: policies/watch.yaml" in refused.stderr
    assert "nothing was changed" in refused.stderr
    assert ".watchtower-agent." not in refused.stderr, "nobody is sent to a copy that is gone"
    assert host.files() == before
    assert [path.name for path in (host.root / "opt").iterdir()] == ["watchtower-agent"]


def test_policies_elsewhere_are_checked_where_they_are(host: Installer, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "own.yaml").write_text(_UNKNOWN_HERE)
    (host.configuration / "agent.yaml").write_text(f"policies: {elsewhere}\n")
    refused = host.run()
    assert refused.returncode == 1
    assert f"{elsewhere}/own.yaml:" in refused.stderr


def test_links_are_followed_from_where_they_are(host: Installer, tmp_path: Path) -> None:
    kept = tmp_path / "repository"
    (host.configuration / "policies").rename(kept)
    (tmp_path / "common.yaml").write_text(_OWN % "common")
    (kept / "common.yaml").symlink_to("../common.yaml")
    (host.configuration / "policies").symlink_to(kept)
    host.done()

    (kept / "gone.yaml").symlink_to("../gone.yaml")
    refused = host.run()
    assert refused.returncode == 1
    assert f"{host.configuration}/policies/gone.yaml: there is no such file" in refused.stderr


def test_a_policy_that_was_deleted_stays_so_over_an_upgrade_and_over_a_new_install(credulous: Installer) -> None:
    (credulous.configuration / "policies" / _DELETED).unlink()
    expected = credulous.policies()
    said = credulous.done()
    assert credulous.policies() == expected
    assert f"{_DELETED} was deleted and does not come back" in said

    credulous.done("--uninstall")
    credulous.done("--uninstall")  # once more, where there is nothing to remove
    assert not credulous.home.exists()
    assert credulous.policies() == expected
    said = credulous.done()
    assert credulous.policies() == expected
    assert f"{_DELETED} was deleted and does not come back" in said


def test_after_a_removal_the_next_install_renews_what_nobody_changed_and_adds_what_is_new(credulous: Installer) -> None:
    (credulous.configuration / "policies" / _DELETED).unlink()
    (credulous.configuration / "agent.yaml").write_text("log: {level: debug}\n")
    credulous.done("--uninstall")
    with (credulous.version / "policies" / _RENEWED).open("a") as shipped:
        shipped.write("# a newer version's\n")
    (credulous.version / "policies" / "newer.yaml").write_text(_OWN % "newer")
    credulous.done()
    there = credulous.policies()
    assert there[_RENEWED].endswith("# a newer version's\n")
    assert "newer.yaml" in there
    assert _DELETED not in there
    assert (credulous.configuration / "agent.yaml").read_text() == "log: {level: debug}\n"
    assert {path.name for path in credulous.configuration.iterdir()} == {
        *("agent.yaml", "policy.schema.json", "policies", "credentials")
    }


def test_purged_all_is_forgotten(credulous: Installer) -> None:
    (credulous.configuration / "policies" / _DELETED).unlink()
    credulous.done("--uninstall")
    credulous.stand_in("id", "exit 1")  # no such user
    credulous.done("--uninstall", "--purge")
    assert not credulous.configuration.exists()
    credulous.done()
    assert _DELETED in credulous.policies()


def test_settings_that_were_deleted_come_back_since_nothing_starts_without(credulous: Installer) -> None:
    (credulous.configuration / "agent.yaml").unlink()
    credulous.done()
    assert (credulous.configuration / "agent.yaml").read_text() == (credulous.version / "agent.yaml").read_text()
