"""Is nothing secret left after hide_secrets?"""

import pytest

from jamais.parsing.secrets import hide_secrets

SECRET_LINES = [
    ("login password=hunter2x ok", "hunter2x"),
    ("login password: hunter2x ok", "hunter2x"),
    ('{"password": "hunter2x"}', "hunter2x"),
    ('{"api_key":"hunter2x"}', "hunter2x"),
    ("db_password='hunter 2x'", "hunter"),
    ("GET /a?key=hunter2x&b=1", "hunter2x"),
    ("token=hunter2x", "hunter2x"),
    ("Authorization: Bearer hunter2x", "hunter2x"),
    ("authorization=Basic aHVudGVyMng=", "aHVudGVyMng"),
    ("sent Bearer hunter2x.y", "hunter2x"),
    ("proxy Basic aHVudGVyMng6eA==", "aHVudGVyMng6"),
    ("postgres://bob:hunter2x@db:5432/x", "hunter2x"),
    ("mail to some.one+x@hunter2x.example.org failed", "some.one"),
    ("jwt eyJhbGciOiJI.eyJzdWIiOiIx.SflKxw", "SflKxw"),
    ("aws AKIAABCDEFGHIJKLMNOP", "AKIAABCDEFGHIJKLMNOP"),
]


@pytest.mark.parametrize(("line", "secret"), SECRET_LINES)
def test_a_secret_is_hidden(line: str, secret: str) -> None:
    assert secret not in hide_secrets(line)
    assert "<secret>" in hide_secrets(line)


@pytest.mark.parametrize(
    "line",
    [
        "Failed password for root from 1.2.3.4",
        "invalid token: expired",
        "keyboard ready",
        "a@b",
        "primary key id=4",
        "",
    ],
)
def test_a_line_without_a_secret_stays_as_it_is(line: str) -> None:
    assert hide_secrets(line) == line


@pytest.mark.parametrize(("line", "secret"), SECRET_LINES)
def test_hiding_twice_is_hiding_once(line: str, secret: str) -> None:
    assert hide_secrets(hide_secrets(line)) == hide_secrets(line)
