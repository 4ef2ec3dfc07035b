"""The client that waits: callbacks that ask for something, a Ctrl-C, certificates, and what is left at its end."""

from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.remote.support import Site, serving
from totohio.remote import DisconnectedError, Remote

LENT_BOOKS = Path(__file__).with_name("lent_books.py").read_text("utf-8")


class Gathering:
    """Hands on what comes only when so much of it is there."""

    def __init__(self, carrier: Any, count: int) -> None:
        self._carrier = carrier
        self._count = count

    def receive(self, seconds: float | None) -> list[bytes]:
        messages: list[bytes] = []
        while len(messages) < self._count:
            messages += self._carrier.receive(30.0)
        self._count = 1
        return messages

    def __getattr__(self, name: str) -> Any:
        return getattr(self._carrier, name)


def test_a_callback_gets_an_answer_that_came_together_with_the_question(remote: Remote) -> None:
    apply, add = remote.later(remote.apply), remote.later(remote.add)
    seen = []

    def callback(number: int) -> int:
        seen.append(second.result(timeout=10.0))
        return number + 1

    remote._carrier = Gathering(remote._carrier, 2)
    first, second = apply(callback, 1), add(1, 2)
    assert first.result(timeout=30.0) == 2
    assert seen == [3]


def test_a_ctrl_c_while_an_answer_is_awaited_ends_the_call_at_the_server(
    site: Site, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = remote._carrier.receive

    def interrupted(seconds: float | None) -> list[bytes]:
        monkeypatch.setattr(remote._carrier, "receive", receive)
        raise KeyboardInterrupt

    remote.nap  # noqa: B018 - it is fetched before
    monkeypatch.setattr(remote._carrier, "receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        remote.nap(600)
    assert remote.add(1, 2) == 3
    assert site.within(lambda: list(site.module.SEEN)) == [["ended", 600]]


def test_a_ctrl_c_in_a_callback_is_the_clients_and_the_server_goes_on(remote: Remote) -> None:
    def callback() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remote.apply(callback)
    assert remote.apply(lambda: 5) == 5


def test_a_client_that_waits_for_an_answer_says_that_it_is_there(tmp_path: Path) -> None:
    with serving(tmp_path, remote_lease=0.3) as site, site.connect() as remote:
        assert remote.nap(1.0) == 1.0


def test_a_use_after_the_end_says_so_once(site: Site) -> None:
    with site.connect() as remote:
        add = remote.add
    with pytest.raises(DisconnectedError, match=r"^the connection is over: it was closed$"):
        add(1, 2)


def test_a_function_that_statements_define_can_be_called(tmp_path: Path) -> None:
    with serving(tmp_path, remote_exec=True) as site:
        site.call("grant", {"user_id": "ada", "roles": ["admin"]})
        with site.connect() as remote:
            remote.do("def more(number):\n    return add(number, 1)\n\nown = object()")
            assert remote.more(2) == 3
            assert remote.later(remote.more)(3).result() == 4
            with pytest.raises(TypeError, match="cannot be called"):
                remote.own()


def test_what_was_returned_last_is_gone_with_its_session(tmp_path: Path) -> None:
    with serving(tmp_path, LENT_BOOKS) as site:
        with site.connect() as remote:
            book = remote.Book("Persuasion")  # and no call after it
        site.until(lambda: "gone Persuasion" in site.module.SEEN, "the book is gone")
        del book


@pytest.mark.parametrize("path", ["", "/lend"])
def test_a_client_shows_its_certificate_where_the_server_asks_for_one(tmp_path: Path, path: str) -> None:
    authority = trustme.CA()
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    client = authority.issue_cert("ada@example.org")
    client.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    client.private_key_pem.write_to_path(tmp_path / "client.key")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    files = {"certfile": str(tmp_path / "client.pem"), "keyfile": str(tmp_path / "client.key")}
    cafile = str(tmp_path / "ca.pem")
    with serving(tmp_path, users=(), certfile=str(tmp_path / "server.pem"), cafile=cafile, remote_path=path) as site:
        url = site.url if not path else site.server.url.replace("https", "wss") + path
        with pytest.raises(OSError):  # noqa: PT011 - the alert of the server, or its end
            site.connect(url=url, cafile=cafile)
        with pytest.raises(Exception, match="1005"):  # there is no account, but it is asked
            site.connect(url=url, cafile=cafile, **files)
