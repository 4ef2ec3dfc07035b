"""What a server says of its limits when it greets a client, and what the client makes of that."""

from typing import Any

import pytest

from tests.remote.peers import packed
from tests.remote.reviewed import logged_in
from tests.remote.rogues import Rogue
from tests.remote.support import Dialer, Site, enrol, lending, serving
from totohio import remote as remoting
from totohio.remote import Remote
from totohio.remote.table import TableFullError
from totohio.sim import World
from totohio.sim.worlding import Script
from totohio.wire.lending import LendingError

LIMITS = {"remote_max_frame": 5000, "remote_max_references": 10, "hmac_enabled": True}


@pytest.mark.parametrize("by", ["password", "key"])
def test_clients_that_do_not_wait_know_what_a_server_takes(by: str) -> None:
    with World(1, faults="sunny") as world:
        server = lending(world, **LIMITS)
        enrol(world, server)
        dialer = Dialer(world, server, **(logged_in(world, server) if by == "key" else {}))

        def script() -> Script:
            yield dialer.doer.ready
            echo = dialer.doer.remote.echo
            with pytest.raises(LendingError, match="5000 are allowed"):
                yield echo("x" * 5000)
            with pytest.raises(TableFullError, match="10 objects are lent already"):
                yield echo([lambda: None for _ in range(11)])
            return (yield echo("x"))

        assert dialer.run(script()) == "x"


def test_so_do_those_that_wait_and_come_with_a_key(tmp_path: Any) -> None:
    with serving(tmp_path, **LIMITS) as site, keyed(site) as remote:
        with pytest.raises(LendingError, match="5000 are allowed"):
            remote.echo("x" * 5000)
        with pytest.raises(TableFullError, match="10 objects are lent already"):
            remote.echo([lambda: None for _ in range(11)])
        assert remote.echo("x") == "x"


def keyed(site: Site) -> Remote:
    """Connect with the key of a session over HTTP."""
    session = site.call("account.login", {"user_id": "ada", "password": "correct horse"})
    return site.connect(session_id=session["session_id"], session_key=session["key"])


@pytest.mark.parametrize("limit", [0, -1, 2**60, True, None, "1", 1.5, [1]], ids=repr)
def test_limits_that_are_none_are_not_kept_to(limit: Any) -> None:
    raw = packed({"r": 1, "v": {"version": 1, "nonce": b"n" * 16, "max_frame": limit, "max_references": limit}})

    def say(message: dict[str, Any]) -> bytes:
        if message.get("o") == "hello":
            return raw
        value = ["ada", None, [], 60.0] if message.get("o") == "present" else None
        return packed({"r": message.get("i", 0), "v": value})

    rogue = Rogue(say)
    with remoting.connect(rogue.url, timeout=10.0, session_id="s", session_key="k") as remote:
        remote.perform("call", [None, "f"], ["x" * 5000, *(lambda: None for _ in range(100))])
        assert remote._borrower.table.limit <= 1_000_000
    rogue.close()
