from __future__ import annotations

from pathlib import Path

import pytest

from watchtower_agent.engine.ssh import SshAddress, ssh_address, ssh_command


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ssh://shop", SshAddress(host="shop")),
        ("ssh://shop/", SshAddress(host="shop")),
        ("ssh://me@shop.example.com:2222", SshAddress(host="shop.example.com", user="me", port=2222)),
        ("ssh://me@[fe80::1%eth0]:22", SshAddress(host="fe80::1%eth0", user="me", port=22)),
        ("ssh://Shop/run/my docker.sock", SshAddress(host="Shop", socket="/run/my docker.sock")),
    ],
)
def test_what_an_address_names(url: str, address: SshAddress) -> None:
    assert ssh_address(url) == address


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ssh://",
            "ssh://me@",
            "ssh://:22",
            "ssh://me:secret@shop",
            "ssh://shop:0",
            "ssh://shop:65536",
            "ssh://shop:x",
        ),
        *(
            "ssh://-oProxyCommand=evil",
            "ssh://-l@shop",
            "ssh://me@-shop",
            "ssh://shop?a=b",
            "ssh://shop/a#b",
            "ssh://a b",
        ),
        *("ssh://shop/a\nb", "ssh://$(evil)", "ssh://shop;evil", "tcp://shop"),
    ],
)
def test_what_is_no_address(url: str) -> None:
    assert ssh_address(url) is None


def test_nothing_of_an_address_is_an_option_or_code_for_the_shell_there() -> None:
    address = SshAddress(host="shop", user="me", port=22, socket="/run/a'; reboot; '.sock")

    command = ssh_command(address, config=None, timeout=10)

    assert command[-3:-1] == ["--", "shop"]
    assert command[-1] == """docker --host 'unix:///run/a'"'"'; reboot; '"'"'.sock' system dial-stdio"""


def test_what_the_command_line_says_comes_before_any_configuration() -> None:
    command = ssh_command(SshAddress(host="shop"), config=Path("/etc/a"), timeout=10)

    assert command[:3] == ["ssh", "-F", "/etc/a"]
    assert {"StrictHostKeyChecking=yes", "BatchMode=yes", "ConnectTimeout=9"} < set(command)
    assert not {"-l", "-p"} & set(command)
    assert command[-1] == "docker system dial-stdio"
