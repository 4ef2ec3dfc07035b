"""What a user of RPyC asks for, the rest of the table: callbacks, exceptions, iterators, slow calls, connections."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.remote.support import PASSWORD, Site, asked, serving
from tests.servers import free_port
from totohio import TotoException
from totohio import remote as remoting
from totohio.base.futures import CancelledError
from totohio.core.lending import ForbiddenError
from totohio.remote import DisconnectedError, Remote, RemoteError

LENT = Path(__file__).with_name("lent_books.py").read_text("utf-8")


@pytest.fixture(scope="module")
def site(bookshop: Site) -> Site:
    return bookshop


# ---------------------------------------------------------------- callbacks


def test_a_callable_of_the_client_is_called_by_the_server(remote: Remote) -> None:
    assert remote.each(lambda number: number * 3, [1, 2]) == [3, 6]
    assert remote.each(lambda number: remote.add(number, 1), [1, 2]) == [2, 3]


def test_an_exception_of_a_callback_passes_through_the_server(remote: Remote) -> None:
    with pytest.raises(ZeroDivisionError):
        remote.each(lambda number: 1 / number, [0])


def test_a_callback_is_answered_when_the_client_waits_for_something(site: Site, remote: Remote) -> None:
    got: list[str] = []
    remote.keep(got.append)
    called = site.within(lambda: site.module.KEPT[-1].later("fired"))
    assert got == []
    remote.ping()
    assert got == ["fired"]
    site.until(called.done, "the server has the answer")


def test_a_function_of_the_server_need_not_wait_for_a_callback(remote: Remote) -> None:
    assert remote.each_later(lambda number: number * 3, [1, 2]) == [3, 6]


# ---------------------------------------------------------------- exceptions


def test_an_exception_of_python_arrives_as_itself(remote: Remote) -> None:
    with pytest.raises(KeyError) as caught:
        remote.fail("KeyError")
    assert type(caught.value) is KeyError
    assert caught.value.args == ("k",)


def test_the_traceback_of_the_server_stands_beside_the_message(remote: Remote) -> None:
    with pytest.raises(KeyError) as caught:
        remote.fail("KeyError")
    assert str(caught.value) == "'k'"
    assert "in fail\n" in caught.value.remote_traceback  # type: ignore[attr-defined]


def test_an_exception_that_both_ends_know_arrives_as_itself(site: Site, remote: Remote) -> None:
    with pytest.raises(site.module.OddError) as caught:
        remote.fail("OddError")
    assert caught.value.args == ("odd", 7)
    with site.connect(errors=[]) as other, pytest.raises(RemoteError, match="OddError"):
        other.fail("OddError")


def test_an_exception_that_is_unknown_arrives_as_a_remote_error(remote: Remote) -> None:
    with pytest.raises(RemoteError, match=r"^HiddenError: hidden$") as caught:
        remote.fail("HiddenError")
    assert caught.value.name == "HiddenError"


def test_an_exception_that_ends_a_program_ends_neither_end(remote: Remote) -> None:
    with pytest.raises(RemoteError, match="SystemExit"):
        remote.fail("SystemExit")
    assert remote.add(1, 2) == 3


# ---------------------------------------------------------------- iterators and contexts


def test_next_asks_for_one_item(remote: Remote) -> None:
    items = remote.counted(2)
    count = asked(remote)
    assert (next(items), next(items), next(items, "over")) == (0, 1, "over")
    assert asked(remote) - count == 3


def test_a_loop_fetches_a_hundred_items_at_a_time(remote: Remote) -> None:
    items = remote.counted(250)
    count = asked(remote)
    assert list(items) == list(range(250))
    assert asked(remote) - count == 3


def test_a_generator_that_is_lent_waits_and_one_that_is_returned_is_iterated_over(site: Site, remote: Remote) -> None:
    waits = remote.later(remote.nap)(5)
    remote.ping()
    site.advance(5.1)
    assert waits.result() == 5
    assert list(remote.counted(3)) == [0, 1, 2]


def test_a_context_is_told_what_was_raised_and_may_swallow_it(site: Site, remote: Remote) -> None:
    with remote.Book("Walden") as book:
        assert book.title == "Walden"
        raise ValueError("swallowed")
    assert ["ValueError", "swallowed", None] in site.module.SEEN
    with pytest.raises(KeyError), remote.Book("Walden"):
        raise KeyError("passed on")


# ---------------------------------------------------------------- calls without waiting, and how long they take


def test_a_call_without_waiting_is_asked_for_its_result_later(site: Site, remote: Remote) -> None:
    later = remote.later(remote.nap)(5)
    assert not later.done()
    remote.ping()
    site.advance(5.1)
    assert later.result() == 5
    assert later.done()
    with pytest.raises(KeyError):
        remote.later(remote.fail)("KeyError").result()


def test_a_function_is_called_when_a_result_is_seen(remote: Remote) -> None:
    later = remote.later(remote.add)(1, 2)
    got: list[Any] = []
    later.future.add_done_callback(lambda future: got.append(future.result()))
    assert got == []
    remote.ping()
    assert got == [3]


def test_a_result_that_is_late_can_be_asked_for_again(site: Site, remote: Remote) -> None:
    later = remote.later(remote.nap)(5)
    with pytest.raises(TimeoutError):
        later.result(timeout=0.0)
    remote.ping()
    site.advance(5.1)
    assert later.result() == 5


def test_a_call_that_is_cancelled_ends_at_the_server(site: Site, remote: Remote) -> None:
    later = remote.later(remote.nap)(71)
    later.cancel()
    with pytest.raises(CancelledError):
        later.result()
    remote.ping()
    assert "no nap of 71" in site.module.SEEN


def test_an_answer_that_is_late_ends_the_call_at_the_server(site: Site, remote: Remote) -> None:
    nap = remote.nap  # fetched while there is time
    for timeout in (0.001, 0.1, 10.0):  # until the server had time to begin the call, or to know of it at all
        remote._timeout = timeout  # what connect() was given: it would be too short for the password
        with pytest.raises(TimeoutError, match="no answer within"):
            nap(72)
        remote._timeout = 30.0
        remote.ping()
        if site.module.SEEN:
            break
    assert "no nap of 72" in site.module.SEEN


def test_a_call_takes_no_longer_than_the_server_allows(site: Site, remote: Remote) -> None:
    later = remote.later(remote.nap)(1000)
    remote.ping()
    site.advance(60.1)
    with pytest.raises(TotoException) as caught:
        later.result()
    assert caught.value.code == 1014


def test_calls_on_one_connection_do_not_wait_for_each_other(site: Site, remote: Remote) -> None:
    naps = [remote.later(remote.nap)(5) for _ in range(3)]
    assert remote.add(1, 2) == 3
    site.advance(5.1)  # and not three times as long
    assert [nap.result() for nap in naps] == [5, 5, 5]


# ---------------------------------------------------------------- the classic mode


def test_modules_of_the_settings_are_reached_and_no_others(remote: Remote) -> None:
    assert remote.math.sqrt(4) == 2.0
    assert remote.doimport("math", "factorial")(3) == 6
    with pytest.raises(AttributeError):
        remote.os  # noqa: B018
    with pytest.raises(ForbiddenError):
        remote.doimport("os")


def test_statements_are_carried_out_for_users_with_a_role(site: Site, remote: Remote) -> None:
    with pytest.raises(ForbiddenError, match="statements of yours"):
        remote.do("x = 1")
    with site.connect("grace") as other:
        other.do("x = add(1, 2)")
        assert other.x == 3
        with pytest.raises(SyntaxError):
            other.do("1 +")


def test_names_that_statements_make_are_the_sessions_own(site: Site) -> None:
    with site.connect("grace") as one, site.connect("grace") as other:
        one.do("x = 1")
        assert one.x == 1
        assert "x" in one.dir()
        with pytest.raises(AttributeError):
            other.x  # noqa: B018


def test_a_function_that_is_handed_over_runs_at_the_client(remote: Remote) -> None:
    assert remote.each(lambda _: threading.get_ident(), [1]) == [threading.get_ident()]


# ---------------------------------------------------------------- connections and servers


def test_after_the_end_every_use_says_so(site: Site) -> None:
    with site.connect() as remote:
        book = remote.Book("Walden")
    for use in (remote.dir, remote.ping, book.describe, lambda: book.title, lambda: len(book)):
        with pytest.raises(DisconnectedError) as caught:
            use()
        assert isinstance(caught.value, ConnectionError)
    remote.close()


def test_a_call_that_waits_is_told_of_the_end(site: Site, remote: Remote) -> None:
    later = remote.later(remote.nap)(73)
    remote.ping()
    [session] = site.sessions()
    site.within(lambda: session.end(ConnectionError("ended")))
    with pytest.raises(DisconnectedError):
        later.result()
    assert "no nap of 73" in site.module.SEEN


def test_a_ping_gives_the_seconds_that_it_took(remote: Remote) -> None:
    assert remote.ping() > 0.0


def test_a_server_listens_on_the_machines_own_address(site: Site) -> None:
    assert re.fullmatch(r"totohio://127\.0\.0\.1:\d+", site.url)


def test_tls_is_spoken_with_a_certificate_that_the_client_checks(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with serving(tmp_path, LENT, certfile=str(tmp_path / "server.pem")) as site:
        with site.connect(cafile=str(tmp_path / "ca.pem")) as remote:
            assert remote.url.startswith("totohio+tls://")
            assert remote.add(1, 2) == 3
        with pytest.raises(OSError, match="certificate verify failed"):
            site.connect()


def test_nobody_comes_in_without_an_account(site: Site) -> None:
    with pytest.raises(ValueError, match="say who it is"):
        remoting.connect(site.url)
    for user_id, password in (("ada", "wrong"), ("eve", PASSWORD)):
        with pytest.raises(TotoException, match="Invalid user ID or password"):
            site.connect(user_id, password=password)


def test_a_websocket_carries_the_same(site: Site) -> None:
    with site.connect(url=site.server.url.replace("http", "ws") + "/lend") as remote:
        assert remote.add(1, 2) == 3
        assert remote.each(lambda number: number * 3, [1]) == [3]


def test_several_threads_use_one_connection(remote: Remote) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda number: remote.add(number, 1), range(100))) == list(range(1, 101))


def test_a_server_goes_on_when_its_client_has_left(site: Site) -> None:
    for number in range(3):
        with site.connect() as remote:
            assert remote.add(number, 1) == number + 1


def test_a_url_is_all_that_says_where_a_server_is(site: Site) -> None:
    with pytest.raises(ValueError, match="is no URL such as"):
        remoting.connect("BOOKS", user_id="ada", password=PASSWORD)
    with pytest.raises(ConnectionRefusedError):
        remoting.connect(f"totohio://127.0.0.1:{free_port()}", user_id="ada", password=PASSWORD)
