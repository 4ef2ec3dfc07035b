"""Sessions are found, renewed and over, by several processes at once."""

import math
from typing import Any

import pytest

from tests.core.keeping import START, Desk, Process, failures
from tests.core.pairing import DAY, Pair
from totohio.base.errors import TotoException
from totohio.core.committing import Unit

# ---------------------------------------------------------------- found, and over


def test_a_session_is_found_by_its_id_and_by_no_other(pair: Pair) -> None:
    session = pair.find(pair.two)
    assert session is not None
    assert (session.session_id, session.user_id, session.expires) == (pair.session_id, "", START + DAY)
    for wrong in ("", pair.session_id[:-1], pair.session_id + "A", pair.session_id.swapcase(), "\ud800", "\0"):
        assert pair.one.call(pair.one.sessions.find, wrong) is None


def test_the_store_holds_no_id(pair: Pair) -> None:
    [(key, value)] = pair.records._values.items()
    assert pair.session_id.encode() not in key + value


def test_it_is_over_at_its_end_and_not_before(pair: Pair) -> None:
    pair.clock.time = math.nextafter(START + DAY, 0.0)
    assert pair.find(pair.one) is not None
    pair.clock.time = START + DAY
    assert pair.find(pair.one) is None
    assert pair.records.sweep(pair.clock.time, 10).result() == 0  # clocks may differ
    assert pair.records.sweep(pair.clock.time + 2 * 3600.0, 10).result() == 1


# ---------------------------------------------------------------- renewed


def test_using_it_moves_its_end_once_in_a_while(pair: Pair) -> None:
    before = pair.written
    told = []
    for second in range(0, 600, 5):
        pair.clock.time = START + second
        told.append(pair.use(pair.one).expires)
        assert told[-1] == pair.find(pair.two).expires  # type: ignore[union-attr]
    assert told == sorted(told)
    assert told[0] == START + DAY
    assert START + 595.0 - 65.0 + DAY <= told[-1] <= START + 595.0 + DAY
    assert 8 <= pair.written - before <= 10


def test_many_who_use_it_at_once_write_once(pair: Pair) -> None:
    pair.clock.time = START + 120.0
    units = [pair.one.unit() for _ in range(5)]
    sessions = []
    for unit in units:
        session = pair.find(pair.one, unit)
        assert session is not None
        pair.one.start(pair.one.sessions.renew, session)
        pair.desks[0].answer()
        pair.one.lot.service(0.0)
        sessions.append(session)
    pair.one.step()
    assert pair.desks[0].groups[-1] == 1
    assert {session.expires for session in sessions} == {START + 120.0 + DAY}


def test_it_is_written_lazily(pair: Pair) -> None:
    pair.desks[0].held = True
    pair.clock.time = START + 120.0
    session = pair.find(pair.one)
    assert session is not None
    pair.one.start(pair.one.sessions.renew, session)
    pair.desks[0].answer()
    pair.one.step()
    [transaction] = pair.desks[0].commits[0].transactions
    assert transaction.lazy


@pytest.mark.parametrize("lifetime", [DAY / 2, 3 * DAY])
def test_however_much_it_is_used_it_ends_after_its_lifetime(local: bool, lifetime: float) -> None:
    pair = Pair(local, anon_ttl=DAY, lifetime=lifetime)
    end = START + lifetime
    while pair.clock.time < end - 1000.0:
        expires = pair.use(pair.one).expires
        assert expires <= end
        pair.clock.time += 1000.0
    assert pair.use(pair.one).expires == end
    before = pair.written
    pair.use(pair.one)
    assert pair.written == before  # there is nothing left to move
    pair.clock.time = end
    assert pair.find(pair.one) is None


def test_a_shorter_lifetime_ends_sessions_that_are_older_already(pair: Pair) -> None:
    strict = Process(pair.desks[0], clock=pair.clock, lifetime=3600.0)
    pair.clock.time = START + 3600.0
    assert pair.find(pair.one) is not None
    assert strict.call(strict.sessions.find, pair.session_id) is None


def test_with_a_margin_it_is_moved_only_when_its_end_is_near(local: bool) -> None:
    pair = Pair(local, anon_ttl=DAY, anon_renew=3600.0)
    before = pair.written
    for hour in range(23):
        pair.clock.time = START + hour * 3600.0
        assert pair.use(pair.one).expires == START + DAY
    assert pair.written == before
    pair.clock.time = START + 23.5 * 3600.0
    assert pair.use(pair.one).expires == START + 23.5 * 3600.0 + DAY


def test_a_clock_that_steps_back_moves_nothing(pair: Pair) -> None:
    pair.clock.time = START + 1000.0
    pair.use(pair.one)
    before = pair.written
    pair.clock.time = START - 1000.0
    assert pair.use(pair.one).expires == START + 1000.0 + DAY
    assert pair.written == before


def test_a_session_shorter_than_the_granularity_is_renewed_all_the_same(local: bool) -> None:
    pair = Pair(local, anon_ttl=10.0, granularity=60.0)
    for second in range(100):
        pair.clock.time = START + second
        session = pair.use(pair.one)
        assert session.expires == pair.find(pair.two).expires  # type: ignore[union-attr]


@pytest.mark.parametrize("end", ["fail", "lose"])
def test_when_its_end_cannot_be_moved_it_tells_the_old_one_and_the_call_goes_on(pair: Pair, end: str) -> None:
    pair.desks[0].held = True
    pair.clock.time = START + 120.0
    unit = pair.one.unit()
    session = pair.find(pair.one, unit)
    assert session is not None
    pair.one.start(pair.one.sessions.renew, session)
    pair.desks[0].answer()
    pair.one.step()
    getattr(pair.desks[0].next(), end)()
    assert session.expires == START + DAY
    assert failures(unit) == []
    assert all(ticket.done() for ticket, _ in unit.tickets)


def test_who_is_overtaken_while_renewing_tells_what_is_kept(pair: Pair) -> None:
    pair.desks[0].held = True
    pair.clock.time = START + 120.0
    session = pair.find(pair.one)
    assert session is not None
    pair.one.start(pair.one.sessions.renew, session)
    pair.desks[0].answer()
    pair.clock.time = START + 150.0
    assert pair.use(pair.two).expires == START + 150.0 + DAY
    pair.one.step()
    pair.desks[0].next().complete()
    pair.desks[0].answer()
    pair.one.step()
    assert pair.desks[0].commits == []
    assert session.expires == START + 150.0 + DAY


# ---------------------------------------------------------------- API keys


def test_a_call_with_an_api_key_has_a_user_and_nothing_to_save() -> None:
    process = Process(Desk(held=False))
    process.call(process.accounts.create, "ada", "password", {"n": 1})
    _, key = process.call(process.keys.create, "ada", "mine", ("*",))

    def function(unit: Unit) -> Any:
        session = process.sessions.lend(unit, key)
        session["a"] = 1
        assert session.user_id == "ada"
        for refused in (session.save, session.refresh):
            with pytest.raises(TotoException) as caught:
                refused()
            assert caught.value.code == 1004
        return session.get_account()["n"]

    assert process.call(function) == 1
