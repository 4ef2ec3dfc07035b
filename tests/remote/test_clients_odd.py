"""The client that waits, where several threads use it, or a call ends in an odd way: Ctrl-C, a fork, a lost peer."""

import contextlib
import copy
import math
import os
import pickle
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.remote.support import PASSWORD, Site, serving
from tests.waiting import LONG
from totohio.base.futures import CancelledError
from totohio.cli import main
from totohio.remote import DisconnectedError, Remote, connect


@pytest.fixture(params=["tcp", "websocket"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Remote]:
    """A session that lasts as long as its server does, over either."""
    with serving(tmp_path, remote_path="/lend") as site:
        url = site.server.url.replace("http", "ws") + "/lend" if request.param == "websocket" else site.url
        with site.connect(url=url) as remote:
            yield remote


@pytest.fixture
def napping(remote: Remote) -> Iterator[list[BaseException]]:
    """Another thread waits for what does not end; give what it gets."""
    nap, ends = remote.nap, list[BaseException]()

    def wait() -> None:
        try:
            nap(1e6)
        except BaseException as error:
            ends.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while not remote._receiving:
        pass
    yield ends
    remote.close()
    thread.join(LONG)
    assert not thread.is_alive()


# ---------------------------------------------------------------- threads


@pytest.mark.usefixtures("napping")
def test_a_thread_that_waits_keeps_no_other_from_anything(remote: Remote) -> None:
    assert remote.add(1, 2) == 3
    later = remote.later(remote.nap)(1e6)
    assert not later.done()
    with pytest.raises(TimeoutError):
        later.result(0.01)
    later.cancel()
    with pytest.raises(CancelledError):
        later.result()
    assert remote.apply(lambda a: remote.add(a, 1), 4) == 5


def test_who_waits_is_told_that_another_thread_closes(remote: Remote, napping: list[BaseException]) -> None:
    remote.close()
    while not napping:
        pass
    [error] = napping
    assert isinstance(error, DisconnectedError)
    assert "it was closed" in str(error)


def test_each_of_many_threads_gets_its_own_answers_and_callbacks(remote: Remote) -> None:
    add, apply = remote.add, remote.apply

    def work(number: int) -> bool:
        for each in range(40):
            if (
                add(number, each) != number + each
                or apply(lambda a, b=each: a + add(b, 1), number) != number + each + 1
            ):
                return False
        return True

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(work, range(12)))
    assert remote.add(1, 1) == 2


def test_a_callback_may_wait_for_a_thread_that_uses_the_session(remote: Remote) -> None:
    def callback(number: int) -> int:
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(remote.add(number, 1)))
        thread.start()
        thread.join(LONG)
        return found[0]

    assert remote.apply(callback, 1) == 2


@pytest.mark.parametrize("secure", [False, True])
def test_two_threads_that_send_more_than_there_is_room_for_and_one_that_reads_share_what_comes(
    tmp_path: Path, secure: bool, tls: Any
) -> None:
    options, who = tls if secure else ({}, {})
    with serving(tmp_path, remote_max_frame=1 << 24, **options) as site, site.connect(**who) as remote:
        echo = remote.echo
        data = bytes(range(256)) * 12_000

        def work(_: int) -> bool:
            return all(echo(data) == data for _ in range(4))

        with ThreadPoolExecutor(3) as pool:
            assert all(pool.map(work, range(3)))


# ---------------------------------------------------------------- ends


def test_what_is_interrupted_while_it_is_sent_ends_the_session(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.connect() as remote:
        ignore, carrier = remote.echo, remote._carrier
        put = carrier._put  # type: ignore[attr-defined]

        def stopped(data: bytes) -> int:
            put(memoryview(data)[:10])
            raise KeyboardInterrupt

        monkeypatch.setattr(carrier, "_put", stopped)
        with pytest.raises(KeyboardInterrupt):
            ignore(bytes(100))
        monkeypatch.undo()
        for step in (remote.ping, lambda: ignore(1)):
            with pytest.raises(DisconnectedError, match="interrupted while it sent"):
                step()


def test_what_is_interrupted_while_it_waits_does_not(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    add, receive = remote.add, remote._carrier.receive

    def stopped(seconds: float | None) -> list[bytes]:
        raise KeyboardInterrupt

    monkeypatch.setattr(remote._carrier, "receive", stopped)
    with pytest.raises(KeyboardInterrupt):
        add(1, 2)
    monkeypatch.setattr(remote._carrier, "receive", receive)
    assert add(3, 4) == 7


def test_calls_that_are_cancelled_on_a_lost_connection_end(tmp_path: Path) -> None:
    with serving(tmp_path) as site:
        remote = site.connect()
        laters = [remote.later(remote.nap)(1e6) for _ in range(3)]
    for later in laters:
        later.cancel()
    for later in laters:
        with pytest.raises((CancelledError, DisconnectedError)):
            later.result(LONG)
    remote.close()


def test_a_method_of_an_object_that_nobody_else_has_is_called_later(remote: Remote) -> None:
    for _ in range(3):
        greeted = remote.later(remote.Cat("Tom").greet)().result()  # in an assert pytest would have the object
        assert greeted == "Tom greets you"


def test_a_forked_process_can_do_nothing_with_it_and_its_parent_goes_on(remote: Remote) -> None:
    add, later = remote.add, remote.later(remote.nap)(1e6)
    steps: list[Callable[[], Any]] = [
        lambda: add(1, 2),
        remote.ping,
        later.done,
        later.result,
        later.cancel,
        remote.dir,
    ]
    pid = os.fork()
    if not pid:
        refused = 0
        for step in steps:
            with contextlib.suppress(DisconnectedError):
                step()
                continue
            refused += 1
        remote.close()
        os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == len(steps)
    assert add(1, 2) == 3
    assert remote.ping() < LONG


# ---------------------------------------------------------------- proxies


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_proxy_is_neither_copied_nor_pickled(remote: Remote, way: Callable[[Any], Any]) -> None:
    tom = remote.tom
    with pytest.raises(TypeError, match=r"<remote Cat of .*> cannot be copied or pickled"):
        way(tom)
    assert tom.greet() == "tom greets you"


def test_what_is_lent_is_not_hidden_by_setting_it(remote: Remote) -> None:
    with pytest.raises(AttributeError, match="add"):
        remote.add = 3
    assert remote.add(1, 2) == 3


def test_help_shows_what_the_server_says(remote: Remote, capsys: pytest.CaptureFixture[str]) -> None:
    for what, said in ((remote.add, "Add two things."), (remote.tom.greet, "Say miaow.")):
        help(what)
        text = capsys.readouterr().out
        assert said in text
        assert "_performer" not in text


# ---------------------------------------------------------------- what is no place, or no peer


@pytest.mark.parametrize("url", ["totohio://h:0", "totohio://h/path", "totohio://h?a=b", "totohio://h#a", "ws://h/p#a"])
def test_what_a_url_says_in_vain_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is no URL such as"):
        connect(url, user_id="ada", password=PASSWORD)


def test_what_is_wrong_with_a_url_is_said() -> None:
    for url, why in (
        ("totohio://h:0", "0 is no port"),
        ("totohio+tls://h/a", r"totohio\+tls:// leads to a host and a"),
    ):
        with pytest.raises(ValueError, match=why):
            connect(url, user_id="ada", password=PASSWORD)


@pytest.mark.parametrize(
    "url",
    [
        "totohio://ada:geheim/1@localhost",
        "totohio://ada:1/geheim@localhost",
        "ws://ada:geheim#1@localhost",
        "totohio://ada:geheim@[localhost",
        "totohio:ada:geheim@localhost",
        "ada:geheim@localhost",
    ],
)
def test_a_password_in_what_is_no_url_is_not_shown_either(url: str) -> None:
    with pytest.raises(ValueError, match="names no user") as caught:
        connect(url, user_id="ada", password=PASSWORD)
    assert "geheim" not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("scheme", ["totohio", "totohio+tls", "ws", "wss"])
def test_a_url_names_no_user_and_a_password_in_it_is_not_shown(
    scheme: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{scheme}://ada:geheim@localhost/"
    with pytest.raises(ValueError, match="names no user") as caught:
        connect(url, user_id="ada", password=PASSWORD)
    assert "geheim" not in str(caught.value)
    monkeypatch.setenv("TOTOHIO_PASSWORD", PASSWORD)
    assert main(["remote", url, "--user-id", "ada"]) == 2
    said = capsys.readouterr().err
    assert "names no user" in said
    assert "geheim" not in said


@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf])
def test_a_timeout_is_longer_than_nothing_and_comes_to_an_end(timeout: float) -> None:
    with pytest.raises(ValueError, match=f"a timeout of {timeout:g} seconds is none"):
        connect("totohio://localhost", user_id="ada", password=PASSWORD, timeout=timeout)


def answering(data: bytes) -> tuple[str, threading.Thread]:
    """Have somebody answer the first that comes with something; give where."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener:
            peer, _ = listener.accept()
        peer.settimeout(LONG)
        with peer, contextlib.suppress(OSError):  # who has come may leave at any time
            peer.recv(4096)
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(4096):
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    return f"127.0.0.1:{listener.getsockname()[1]}", thread


@pytest.mark.parametrize(
    ("scheme", "data", "said"),
    [
        ("totohio", b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP is spoken there"),
        ("totohio", b"\x15\x03\x03\x00\x02\x02\x46", "TLS is spoken there"),
        ("totohio", b"", r"\(does it lend objects, in TLS or without as the URL says\?\)"),
        ("totohio+tls", b"\x00\x00\x00\x01a", "TLS failed, if it is spoken there at all"),
        ("wss", b"HTTP/1.1 400 Bad Request\r\n\r\n", "TLS failed, if it is spoken there at all"),
        ("ws", b"\x15\x03\x03\x00\x02\x02\x46", r"\(does it want TLS, or speak no WebSocket\?\)"),
    ],
)
def test_a_peer_that_speaks_something_else_is_recognised(scheme: str, data: bytes, said: str) -> None:
    address, thread = answering(data)
    with pytest.raises((DisconnectedError, OSError), match=said):
        connect(f"{scheme}://{address}", user_id="ada", password=PASSWORD, timeout=LONG)
    thread.join(LONG)
