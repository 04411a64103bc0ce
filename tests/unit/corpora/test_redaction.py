from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.redaction import EMAIL_PLACEHOLDER as EMAIL
from corpora.redaction import IP_PLACEHOLDER as IP
from corpora.redaction import redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to jane.doe@example.com.", f"Write to {EMAIL}."),
        ("<a+b_c%d-e@mail.example.co.uk>", f"<{EMAIL}>"),
        ("mailto:x@y.org?subject=z", f"mailto:{EMAIL}?subject=z"),
        ("a@b.nl,c@d.nl;E@F.NL", f"{EMAIL},{EMAIL};{EMAIL}"),
        ("…me@x.com…", f"…{EMAIL}…"),
        ("--me@x.com", f"--{EMAIL}"),
        (f"{'a' * 64}@x.com", EMAIL),
    ],
)
def test_addresses_are_replaced_and_what_stands_around_them_stays(text: str, expected: str) -> None:
    assert redact(text, ["email"]) == (expected, {"email": expected.count(EMAIL)})


@pytest.mark.parametrize(
    "text",
    [
        "@property and @user",
        "me at x dot com",
        "5 apples @ 3.50",
        "user@localhost",
        "a@b",
        "a@.com",
        "a@b..com",
        "x@1.2",
        "me.@x.com",
        f"{'a' * 65}@x.com",
        "@@@@",
    ],
)
def test_what_is_no_address_stays(text: str) -> None:
    assert redact(text, ["email", "ip"]) == (text, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from 8.8.8.8 to 1.1.1.1:53", f"from {IP} to {IP}:53"),
        ("(93.184.216.34).", f"({IP})."),
        ("at 2001:4860:4860::8888, port 53", f"at {IP}, port 53"),
        ("http://[2606:4700::1111]/", f"http://[{IP}]/"),
        ("2a00:1450:4001:81b:0:0:0:200e and 9.9.9.9", f"{IP} and {IP}"),
    ],
)
def test_public_ip_addresses_are_replaced(text: str, expected: str) -> None:
    assert redact(text, ["ip"]) == (expected, {"ip": expected.count(IP)})


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1 and 192.168.0.1 and 10.1.2.3",
        "192.0.2.1 of RFC 5737, 2001:db8::1 of RFC 3849, fe80::1",
        "1.2.3 and 1.2.3.4.5 and 256.1.1.1 and v1.2.3.4",
        "at 12:30:45, std::vector, 2024:01:02",
        "8.8.8.8.in-addr.arpa",
    ],
)
def test_what_is_no_public_ip_address_stays(text: str) -> None:
    assert redact(text, ["ip"]) == (text, {})


def test_only_what_is_asked_for_is_replaced() -> None:
    text = "me@x.com at 8.8.8.8"
    assert redact(text, []) == (text, {})
    assert redact(text, ["ip"]) == (f"me@x.com at {IP}", {"ip": 1})
    assert redact(text, ["email", "ip"]) == (f"{EMAIL} at {IP}", {"email": 1, "ip": 1})


@given(st.text(st.sampled_from("ab.@-1:2|8 ")))
def test_once_is_enough_and_nothing_else_changes(text: str) -> None:
    redacted, counts = redact(text, ["email", "ip"])
    assert redacted.count("|||EMAIL_ADDRESS|||") == counts.get("email", 0)
    assert redacted.count("|||IP_ADDRESS|||") == counts.get("ip", 0)
    assert redact(redacted, ["email", "ip"]) == (redacted, {})


@pytest.mark.parametrize("unit", ["a", "a@", "a.", "@", "1.", "2:", "a@b.", "8.8.8.8", "2000:"])
def test_a_long_run_of_anything_takes_no_longer_than_its_length(unit: str) -> None:
    # were the search quadratic, the test's own limit of time would end it
    redact(unit * (300_000 // len(unit)), ["email", "ip"])
