"""The address of a PostgreSQL database: what is understood, what is refused, and that no password is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.config.database_address import DatabaseAddress, parse_address


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://mill@db/films", DatabaseAddress((("db", 5432),), "films", "mill", "verify-full")),
        ("postgres://mill@db:6/films", DatabaseAddress((("db", 6),), "films", "mill", "verify-full")),
        (
            "postgresql://m%40x@a:1,b/f%20s?port=9&sslmode=require",
            DatabaseAddress((("a", 1), ("b", 9)), "f s", "m@x", "require"),
        ),
        ("postgresql://m@/f?host=/run/pg&port=7", DatabaseAddress((("/run/pg", 7),), "f", "m", "disable")),
        ("postgresql://m@%2Frun%2Fpg/f", DatabaseAddress((("/run/pg", 5432),), "f", "m", "disable")),
        ("postgresql://m@localhost/f", DatabaseAddress((("localhost", 5432),), "f", "m", "disable")),
        ("postgresql://m@[::1]:5/f", DatabaseAddress((("::1", 5),), "f", "m", "disable")),
        (
            "postgresql://m@127.0.0.2,db/f",
            DatabaseAddress((("127.0.0.2", 5432), ("db", 5432)), "f", "m", "verify-full"),
        ),
        (
            "postgresql://m@10.0.0.1/f?sslrootcert=/c/root.pem&sslcert=/c/own.pem&sslkey=/c/key.pem",
            DatabaseAddress(
                (("10.0.0.1", 5432),),
                "f",
                "m",
                "verify-full",
                Path("/c/root.pem"),
                Path("/c/own.pem"),
                Path("/c/key.pem"),
            ),
        ),
    ],
)
def test_an_address_is_read(url: str, expected: DatabaseAddress) -> None:
    """Hosts, port, name, role; TLS with a proof of who answers, unless nobody can listen or something else is said."""
    assert parse_address(url) == expected


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://m@db/f", "PostgreSQL"), ("m@db/f", "PostgreSQL"), ("", "PostgreSQL"), ("postgresql://m@db", "no database"),
        ("postgresql://db/f", "no role"), ("postgresql://m@/f", "no host"), ("postgresql://m@db:x/f", "no port"),
        ("postgresql://m@db:70000/f", "no port"), ("postgresql://m@db/f?sslmode=prefer", "sslmode=prefer"),
        ("postgresql://m@db/f?sslmod=require", "'sslmod'"), ("postgresql://m@db/f?x", "no address"),
        ("postgresql://m@db/f/g", "no database"), ("postgresql://m@:5/f", "no host"), ("postgresql://m@[::1/f", "no address"),
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_words(url: str, said: str) -> None:
    """Each says what is wrong."""
    with pytest.raises(ValueError, match=said):
        parse_address(url)


@pytest.mark.parametrize(
    "url", ["postgresql://m:hunter2@db/f", "postgresql://m@db/f?password=hunter2", "postgresql://:hunter2@db/f"]
)
def test_a_password_in_an_address_is_refused_and_not_repeated(url: str) -> None:
    """It would be seen in lists of processes, and in every copy of the configuration."""
    with pytest.raises(ValueError, match="holds a password") as caught:
        parse_address(url)
    assert "hunter2" not in str(caught.value)


def test_a_password_in_the_place_of_the_port_is_not_repeated() -> None:
    """Whoever writes it behind the wrong colon is told what stands there."""
    with pytest.raises(ValueError, match="port") as caught:
        parse_address("postgresql://m@db:hunter2/f")
    assert "hunter2" not in str(caught.value)


def test_an_address_in_words_holds_no_password() -> None:
    """Neither for people nor for a traceback."""
    address = DatabaseAddress((("db", 1), ("/run/pg", 1)), "films", "mill", "disable", password=SecretStr("hunter2"))
    assert str(address) == "database 'films' at db:1, /run/pg (role 'mill')"
    assert "hunter2" not in repr(address)
