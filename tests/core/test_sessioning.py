"""Sessions are made, found, renewed, saved and ended, by several processes at once."""

import math
from typing import Any

import pytest

from tests.core.keeping import START, Desk, Process, Wall, code, failures
from totohio import TotoSession
from totohio.base.errors import TotoException
from totohio.core.bundling import Bundle, Part
from totohio.core.committing import Unit
from totohio.core.ports import StoreError
from totohio.core.sessioning import session_key
from totohio.store.memory import MemoryStore

DAY = 86_400.0


class Pair:
    """Two processes over one store, with one clock; a session is open."""

    def __init__(self, local: bool, **policy: Any) -> None:
        self.clock = Wall()
        self.records = MemoryStore()
        self.desks = [Desk(self.records, local=local, held=False) for _ in range(2)]
        self.one, self.two = (
            Process(desk, clock=self.clock, name=name, **policy)
            for desk, name in zip(self.desks, ("one", "two"), strict=True)
        )
        self.session_id = self.one.call(self.one.sessions.open_anonymous).session_id

    def find(self, process: Process, unit: Unit | None = None) -> TotoSession | None:
        """Load the session."""
        ends = process.start(process.sessions.find, unit or process.unit(), self.session_id)
        process.store.answer()  # type: ignore[attr-defined]
        process.lot.service(0.0)
        [found] = ends
        return found  # type: ignore[no-any-return]

    def use(self, process: Process) -> TotoSession:
        """A whole call that uses the session."""

        def function(unit: Unit) -> TotoSession:
            session = process.sessions.find(unit, self.session_id)
            assert session is not None
            process.sessions.renew(session)
            return session

        return process.call(function)  # type: ignore[no-any-return]

    def save(self, process: Process, **changes: Any) -> Any:
        """A whole call that changes the session."""

        def function(unit: Unit) -> None:
            session = process.sessions.find(unit, self.session_id)
            assert session is not None
            for key, value in changes.items():
                session[key] = value
            session.save()

        return process.call(function)

    @property
    def state(self) -> dict[Any, Any]:
        """What is kept."""
        session = self.find(self.two)
        assert session is not None
        return dict(session.state)

    @property
    def written(self) -> int:
        """How many groups were committed."""
        return sum(len(desk.groups) for desk in self.desks)


@pytest.fixture(params=[True, False], ids=["local", "remote"])
def local(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def pair(local: bool) -> Pair:
    return Pair(local, anon_ttl=DAY, granularity=60.0)


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


# ---------------------------------------------------------------- saved by two


def test_two_who_change_different_keys_both_succeed(pair: Pair) -> None:
    one, two = pair.one.unit(), pair.two.unit()
    first, second = pair.find(pair.one, one), pair.find(pair.two, two)
    assert first is not None
    assert second is not None
    first["a"], second["b"] = 1, 2
    first.save()
    second.save()
    for process in (pair.one, pair.two, pair.two):
        process.step()
        process.store.answer()  # type: ignore[attr-defined]
    assert failures(one) == failures(two) == []
    assert pair.state == {"a": 1, "b": 2}


@pytest.mark.parametrize("mine", [1, None])
def test_of_two_who_change_one_key_the_second_is_told(pair: Pair, mine: Any) -> None:
    pair.save(pair.one, a=0, b=0)
    unit = pair.one.unit()
    session = pair.find(pair.one, unit)
    assert session is not None
    session["a"], session["b"] = mine, 1
    pair.save(pair.two, a=2)
    session.save()
    pair.one.step()
    pair.desks[0].answer()
    assert [code(error) for error in failures(unit)] == [1017]
    assert pair.state == {"a": 2, "b": 0}


def test_of_two_who_change_one_key_alike_the_second_is_told(pair: Pair) -> None:
    """Both may have counted."""
    unit = pair.one.unit()
    session = pair.find(pair.one, unit)
    assert session is not None
    session["a"] = [1]
    pair.save(pair.two, a=[1], b=2)
    session.save()
    for _ in range(2):
        pair.one.step()
        pair.desks[0].answer()
    assert [code(error) for error in failures(unit)] == [1017]
    assert pair.state == {"a": [1], "b": 2}


def test_two_calls_of_one_process_are_merged_as_well(pair: Pair) -> None:
    """Also when another process has been faster than both."""
    units = [pair.one.unit() for _ in range(3)]
    sessions = [pair.find(pair.one, unit) for unit in units]
    for number, session in enumerate(sessions):
        assert session is not None
        session[f"key {number}"] = number
        session.save()
    pair.save(pair.two, theirs=True)
    for _ in range(4):
        pair.one.step()
        pair.desks[0].answer()
    assert [failures(unit) for unit in units] == [[], [], []]
    assert pair.state == {"key 0": 0, "key 1": 1, "key 2": 2, "theirs": True}


def test_a_call_that_saves_twice_keeps_what_others_saved_in_between(pair: Pair) -> None:
    """The first save was overtaken and merged, which the session in the method's hands knows nothing of."""
    unit = pair.one.unit()
    session = pair.find(pair.one, unit)
    assert session is not None
    session["a"] = 1
    session.save()
    pair.save(pair.two, theirs=1)
    for _ in range(3):
        pair.one.step()
        pair.desks[0].answer()
    assert failures(unit) == []
    session["b"] = 2
    session.save()
    for _ in range(3):
        pair.one.step()
        pair.desks[0].answer()
    assert failures(unit) == []
    assert pair.state == {"a": 1, "b": 2, "theirs": 1}


def test_a_call_that_renews_and_saves_tells_the_end_that_is_kept_when_it_is_overtaken(pair: Pair) -> None:
    pair.clock.time = START + 120.0
    unit = pair.one.unit()
    session = pair.find(pair.one, unit)
    assert session is not None
    pair.one.start(pair.one.sessions.renew, session)
    pair.desks[0].answer()
    pair.one.lot.service(0.0)
    session["a"] = 1
    session.save()
    pair.clock.time = START + 190.0
    pair.use(pair.two)
    pair.save(pair.two, b=2)
    for _ in range(3):
        pair.one.step()
        pair.desks[0].answer()
    assert failures(unit) == []
    assert pair.state == {"a": 1, "b": 2}
    assert session.expires == pair.find(pair.two).expires == START + 190.0 + DAY  # type: ignore[union-attr]


def test_a_save_whose_answer_is_lost_is_not_made_twice(pair: Pair) -> None:
    pair.desks[0].held = True
    unit = pair.one.unit()
    session = pair.find(pair.one, unit)
    assert session is not None
    session["n"] = 1
    session.save()
    pair.one.step()
    pair.desks[0].next().lose()
    assert [type(error) for error in failures(unit)] == [StoreError]
    pair.desks[0].held = False
    session["m"] = 1  # the method goes on, and saves what it has
    session.save()
    for _ in range(2):
        pair.one.step()
        pair.desks[0].answer()
    assert pair.state == {"n": 1, "m": 1}


# ---------------------------------------------------------------- ended


def end(pair: Pair, process: Process) -> None:
    """A whole call that ends the session."""

    def function(unit: Unit) -> None:
        session = process.sessions.find(unit, pair.session_id)
        assert session is not None
        process.sessions.end(unit, session)

    process.call(function)


@pytest.mark.parametrize("how", ["save", "renew", "both"])
def test_a_session_that_was_ended_elsewhere_is_not_brought_back(pair: Pair, how: str) -> None:
    unit = pair.one.unit()
    session = pair.find(pair.one, unit)
    assert session is not None
    end(pair, pair.two)
    pair.clock.time = START + 120.0
    expires = session.expires
    if how != "save":
        pair.one.start(pair.one.sessions.renew, session)
        pair.desks[0].answer()
        pair.one.lot.service(0.0)
    if how != "renew":
        session["a"] = 1
        session.save()
    for _ in range(3):
        pair.one.step()
        pair.desks[0].answer()
    assert [code(error) for error in failures(unit)] == ([] if how == "renew" else [1004])
    assert session.expires == expires
    assert pair.find(pair.one) is None
    assert pair.records.read(session_key(pair.session_id)) is None


def test_nor_one_that_is_ended_in_the_same_cycle(pair: Pair) -> None:
    units = [pair.one.unit() for _ in range(3)]
    sessions = [pair.find(pair.one, unit) for unit in units]
    for session in sessions:
        assert session is not None
        session["a"] = 1
    sessions[0].save()  # type: ignore[union-attr]
    pair.one.sessions.end(units[1], sessions[1])  # type: ignore[arg-type]
    sessions[2].save()  # type: ignore[union-attr]
    for _ in range(3):
        pair.one.step()
        pair.desks[0].answer()
    assert [[code(error) for error in failures(unit)] for unit in units] == [[], [], [1004]]
    assert pair.find(pair.one) is None


def test_the_call_that_ends_it_can_do_no_more_with_it(pair: Pair) -> None:
    unit = pair.one.unit()
    session = pair.find(pair.one, unit)
    assert session is not None
    pair.one.sessions.end(unit, session)
    for function in (session.save, session.refresh):
        with pytest.raises(TotoException) as caught:
            pair.one.fibers.call(function)
        assert caught.value.code == 1004
    pair.one.step()
    assert pair.find(pair.two) is None


def test_refreshing_one_that_is_over_is_refused(pair: Pair) -> None:
    session = pair.find(pair.one)
    assert session is not None
    pair.clock.time = START + DAY
    ends = pair.one.start(session.refresh)
    pair.desks[0].answer()
    pair.one.lot.service(0.0)
    assert code(ends[0]) == 1004


# ---------------------------------------------------------------- in atomic batches


@pytest.fixture
def bundle(pair: Pair) -> Bundle:
    return Bundle(pair.one.journal)


def loaded(pair: Pair, bundle: Bundle) -> TotoSession:
    session = pair.find(pair.one, Part(bundle))
    assert session is not None
    return session


def test_entries_of_a_batch_see_what_those_before_them_saved(pair: Pair, bundle: Bundle) -> None:
    first, second = loaded(pair, bundle), loaded(pair, bundle)
    first["a"] = 1
    first.save()
    assert loaded(pair, bundle)["a"] == 1
    assert pair.state == {}
    second.refresh()
    second["b"] = second["a"] + 1
    second.save()
    bundle.finish()
    pair.one.step()
    assert failures(bundle) == []
    assert pair.state == {"a": 1, "b": 2}


def test_entries_of_a_batch_do_not_find_what_one_before_them_has_ended(pair: Pair, bundle: Bundle) -> None:
    pair.one.sessions.end(Part(bundle), loaded(pair, bundle))
    assert pair.find(pair.one, Part(bundle)) is None
    assert pair.find(pair.one) is not None
    bundle.finish()
    pair.one.step()
    assert pair.find(pair.one) is None


def test_one_that_a_batch_has_saved_can_be_renewed_in_it(pair: Pair, bundle: Bundle) -> None:
    pair.clock.time = START + 120.0
    for key in ("a", "b"):
        session = loaded(pair, bundle)
        if key == "b":
            pair.one.sessions.renew(session)
        session[key] = 1
        session.save()
    assert pair.state == {}
    bundle.finish()
    pair.one.step()
    assert failures(bundle) == []
    assert pair.state == {"a": 1, "b": 1}
    assert pair.find(pair.two).expires == START + 120.0 + DAY  # type: ignore[union-attr]


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
