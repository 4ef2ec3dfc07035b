"""Clients over real sockets: what proxies are like, calls that take their time, ways to a server, and the Doer."""

import gc
import re
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme
import websockets.sync.client
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.remote.support import PASSWORD, Site, asked, serving
from tests.servers import free_port
from totohio import TotoException
from totohio import remote as remoting
from totohio.base.futures import CancelledError
from totohio.remote import DisconnectedError, Later, Remote, RemoteError
from totohio.wire.lending import LendingError

# ---------------------------------------------------------------- proxies


def test_a_remote_says_what_it_is_and_what_is_lent(remote: Remote) -> None:
    assert re.fullmatch(r"<Remote of ada at totohio://127\.0\.0\.1:\d+>", repr(remote))
    assert {"tom", "add", "math"} <= set(dir(remote))
    assert {"tom", "add", "math"} <= set(remote.dir())
    with pytest.raises(AttributeError, match="nothing is lent as 'nothing'"):
        remote.nothing  # noqa: B018
    with pytest.raises(AttributeError):
        remote._nothing  # noqa: B018


def test_a_proxy_says_what_it_is_and_what_it_lends(remote: Remote) -> None:
    tom = remote.tom
    assert re.fullmatch(r"<remote Cat of totohio://127\.0\.0\.1:\d+>", repr(tom))
    assert dir(tom) == ["greet", "kind", "kitten", "loud", "mood", "name"]
    assert tom.__doc__ == "A cat."
    assert tom.greet.__doc__ == "Say miaow."
    assert repr(tom.greet).startswith("<remote Cat.greet of ")
    assert repr(remote.add).startswith("<remote add of ")
    assert str(tom) == "cat tom"
    assert str(remote.add) == repr(remote.add)


def test_a_proxy_is_used_as_if_the_object_were_here(remote: Remote) -> None:
    tom = remote.tom
    assert (tom.name, tom.mood, tom.loud) == ("tom", "good", "TOM")
    assert tom
    tom.mood = "bad"
    assert not tom
    assert (tom.mood, tom.greet(other="x"), tom("y")) == ("bad", "tom greets x", "tom hears y")
    tom["a"], tom["b"] = 1, [2]
    del tom["a"]
    assert (len(tom), tom["b"], "a" in tom, "b" in tom, list(tom)) == (1, [2], False, True, ["b"])
    with pytest.raises(KeyError):
        tom["a"]
    assert remote.plain()  # without a length or truth of its own it is true
    with pytest.raises(TypeError, match="lends no __len__"):
        len(remote.plain())


def test_what_is_not_lent_is_refused_without_asking(remote: Remote) -> None:
    tom = remote.tom
    count = asked(remote)
    for name in ("secret", "hidden", "__dict__", "_x"):
        with pytest.raises(AttributeError, match="lends no"):
            getattr(tom, name)
    with pytest.raises(AttributeError):
        tom._x = 1
    assert asked(remote) == count
    for name in ("name", "nothing", "greet"):
        with pytest.raises(AttributeError, match="lets nobody set"):
            setattr(tom, name, 1)


def test_a_proxy_that_is_dropped_sends_nothing_until_something_else_is_sent(site: Site, remote: Remote) -> None:
    kitten = remote.tom.kitten()
    lent = site.within(lambda: len(next(iter(site.house.sessions)).table))
    count = asked(remote)
    del kitten
    gc.collect()
    assert asked(remote) == count
    assert site.within(lambda: len(next(iter(site.house.sessions)).table)) == lent
    remote.ping()
    remote.ping()
    assert site.within(lambda: len(next(iter(site.house.sessions)).table)) == lent - 1


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (99, 1), (100, 2), (250, 3)])
def test_an_iterator_is_fetched_in_batches(remote: Remote, count: int, requests: int) -> None:
    items = remote.counting(count)
    before = asked(remote)
    assert list(items) == list(range(count))
    assert asked(remote) - before == requests


def test_an_iterator_can_be_asked_for_one_item_after_the_other(remote: Remote) -> None:
    items = remote.squares(3)
    assert [next(items), next(items), next(items)] == [0, 1, 4]
    with pytest.raises(StopIteration):
        next(items)


def test_a_context_is_entered_at_the_server_and_may_swallow_what_is_raised(site: Site, remote: Remote) -> None:
    with remote.tom as tom:
        assert tom is remote.tom
        raise ValueError("swallowed")
    with pytest.raises(KeyError), remote.tom:
        raise KeyError("not swallowed")
    assert site.module.SEEN == [["enter", "tom"], ["exit", "ValueError"], ["enter", "tom"], ["exit", "KeyError"]]


def test_an_exception_shows_where_it_was_raised_and_one_that_is_unknown_its_name(remote: Remote) -> None:
    with pytest.raises(RemoteError, match="HiddenError: hidden") as caught:
        remote.fail("hidden")
    assert caught.value.name == "HiddenError"
    assert "in fail\n    raise errors[kind]" in caught.value.remote_traceback  # type: ignore[attr-defined]


def test_a_callback_may_use_what_is_lent_while_the_server_waits(remote: Remote) -> None:
    tom = remote.tom
    assert remote.apply(lambda cat: cat.greet() + "!", tom) == "tom greets you!"
    assert remote.apply(lambda: remote.apply(lambda: remote.add(1, 2))) == 3


# ---------------------------------------------------------------- calls that take their time


def test_a_call_can_be_made_without_waiting(site: Site, remote: Remote) -> None:
    later = remote.later(remote.nap)(5)
    assert isinstance(later, Later)
    assert not later.done()
    assert repr(later).endswith("under way>")
    assert remote.add(1, 2) == 3
    with pytest.raises(TimeoutError):
        later.result(0.0)
    site.advance(5.1)
    assert later.result() == 5
    assert later.done()
    assert repr(later).endswith("done>")
    assert remote.later(remote.tom.greet)().result() == "tom greets you"
    with pytest.raises(ZeroDivisionError):
        remote.later(remote.fail)("zero").result()
    with pytest.raises(TypeError, match="nothing remote"):
        remote.later(len)


def test_a_call_that_is_cancelled_ends_at_the_server(site: Site, remote: Remote) -> None:
    later = remote.later(remote.nap)(50)
    remote.ping()
    later.cancel()
    with pytest.raises(CancelledError):
        later.result()
    remote.ping()
    assert site.module.SEEN == [["ended", 50]]
    later.cancel()


def test_an_answer_that_takes_too_long_is_given_up_at_both_ends(site: Site) -> None:
    with site.connect(timeout=5.0) as remote:
        nap = remote.nap  # fetched while there is time
        for timeout in (0.001, 0.1, 10.0):  # until the server had time to begin the call, or to know of it at all
            remote._timeout = timeout
            with pytest.raises(TimeoutError, match=f"no answer within {timeout:g} seconds"):
                nap(50)
            remote._timeout = 30.0
            assert remote.add(1, 2) == 3
            if site.module.SEEN:
                break
        assert site.module.SEEN == [["ended", 50]]


def test_several_threads_share_a_connection(remote: Remote) -> None:
    add = remote.add
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda number: add(number, 1), range(400))) == list(range(1, 401))


# ---------------------------------------------------------------- ends


def test_after_the_end_everything_says_so(site: Site) -> None:
    with site.connect() as remote:
        tom, greet = remote.tom, remote.tom.greet
        later = remote.later(remote.nap)(50)
    assert "(closed)" in repr(remote)
    steps: list[Callable[[], Any]] = [greet, lambda: tom.name, lambda: len(tom), remote.ping, later.result, remote.dir]
    for step in steps:
        with pytest.raises(DisconnectedError):
            step()
    assert repr(tom).startswith("<remote Cat")
    remote.close()


def test_a_server_that_goes_down_is_noticed_by_the_call_that_waits(tmp_path: Path) -> None:
    with serving(tmp_path) as site:
        remote = site.connect()
        later = remote.later(remote.nap)(50)
        remote.ping()
    with pytest.raises(DisconnectedError):
        later.result()
    remote.close()


def test_a_client_that_has_nothing_to_say_says_that_it_is_there(tmp_path: Path) -> None:
    with serving(tmp_path, remote_lease=0.3) as site, site.connect() as remote:
        [session] = site.sessions()
        begin = session.tyme
        site.until(lambda: session.tyme > begin + 0.9, "it was heard of for three leases")
        assert remote.add(1, 2) == 3


# ---------------------------------------------------------------- ways


def test_it_has_to_be_said_who_one_is_and_where(site: Site) -> None:
    for who in ({}, {"user_id": "ada"}, {"session_id": "x"}, {"user_id": "a", "password": "b", "session_id": "c",
                                                            "session_key": "d"}):  # fmt: skip
        with pytest.raises(ValueError, match="say who it is"):
            remoting.connect(site.url, **who)
    for url in ("http://localhost:1", "localhost:8890", "totohio://", ""):
        with pytest.raises(ValueError, match="is no URL such as"):
            remoting.connect(url, user_id="ada", password=PASSWORD)
    with pytest.raises(ConnectionRefusedError):
        remoting.connect(f"totohio://127.0.0.1:{free_port()}", user_id="ada", password=PASSWORD)


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[tuple[Site, str]]:
    """A server that lends over WebSockets, too, and their URL."""
    with serving(tmp_path, remote_path="/lend", remote_max_frame=5000) as site:
        yield site, site.server.url.replace("http", "ws") + "/lend"


def test_the_same_is_spoken_over_a_websocket(paths: tuple[Site, str]) -> None:
    site, url = paths
    with site.connect(url=url) as remote, site.connect() as other:
        assert (remote.user_id, remote.url) == ("ada", url)
        assert remote.tom.greet() == other.tom.greet() == "tom greets you"
        assert remote.apply(lambda n: n + 1, 1) == 2
        assert remote.apply_in_thread(lambda n: n + 1, 1) == 2
        assert list(remote.counting(250)) == list(range(250))
        nap = remote.later(remote.nap)(5)
        remote.ping()
        site.advance(5.1)
        assert nap.result() == 5
        assert remote.echo("x" * 4900) == "x" * 4900
        with pytest.raises(LendingError, match="5020 bytes, where 5000 are allowed"):
            remote.echo("x" * 5000)
        assert remote.echo(1) == 1
        assert other.add(1, 2) == 3
    site.until(lambda: not site.house.sessions, "both sessions are gone")
    with pytest.raises(TotoException, match="Invalid user ID"):
        site.connect(url=url, password="wrong")
    site.until(lambda: not site.house.sessions, "that one is gone, too")


def test_a_page_cannot_borrow_and_texts_are_no_messages(paths: tuple[Site, str]) -> None:
    site, url = paths
    with pytest.raises(InvalidStatus) as caught:
        websockets.sync.client.connect(url, origin="http://127.0.0.1")  # type: ignore[arg-type]
    assert caught.value.response.status_code == 403
    with websockets.sync.client.connect(url) as connection:
        connection.send("text")
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(30.0)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1003
    with websockets.sync.client.connect(url) as connection:
        connection.send(b"\xc1")
        with pytest.raises(ConnectionClosed):
            connection.recv(30.0)
    site.until(lambda: not site.house.sessions, "all sessions are gone")


def test_without_the_option_there_is_no_path(site: Site) -> None:
    url = site.server.url.replace("http", "ws")
    with pytest.raises(ConnectionRefusedError):
        site.connect(url=f"{url}/lend")


def test_the_same_is_spoken_over_tls_by_those_who_trust_the_certificate(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    stranger.cert_pem.write_to_path(tmp_path / "stranger.pem")
    cafile = str(tmp_path / "ca.pem")
    with serving(tmp_path, certfile=str(tmp_path / "server.pem"), remote_path="/lend") as site:
        assert site.url.startswith("totohio+tls://")
        for url in (site.url, site.server.url.replace("https", "wss") + "/lend"):
            with site.connect(url=url, cafile=cafile) as remote:
                assert remote.tom.greet() == "tom greets you"
                assert remote.echo("x" * 900_000) == "x" * 900_000
                assert remote.apply(lambda n: n + 1, 1) == 2
            for file in (None, str(tmp_path / "stranger.pem")):
                with pytest.raises(ssl.SSLCertVerificationError):
                    site.connect(url=url, cafile=file)
        plain = site.url.replace("+tls", "")
        with pytest.raises(OSError):  # noqa: PT011
            site.connect(url=plain, timeout=30.0)
        site.until(lambda: not site.house.sessions, "all sessions are gone")


@pytest.mark.parametrize("secure", [False, True])
def test_a_client_that_asks_for_more_than_it_reads_gets_it_all(tmp_path: Path, secure: bool) -> None:
    options: dict[str, Any] = {}
    if secure:
        authority = trustme.CA()
        pem = authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem
        pem.write_to_path(tmp_path / "server.pem")
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        options["certfile"] = str(tmp_path / "server.pem")
    with serving(tmp_path, **options) as site:
        with site.connect(**({"cafile": str(tmp_path / "ca.pem")} if secure else {})) as remote:
            echo = remote.later(remote.echo)
            text = "x" * 50_000
            begun = [echo(f"{number}{text}") for number in range(400)]  # 20 MB, which no buffer between us holds
            assert [each.result() == f"{number}{text}" for number, each in enumerate(begun)] == [True] * 400
        site.until(lambda: not site.house.sessions, "the session is gone")
