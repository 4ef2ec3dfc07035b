"""Sessions are saved and ended, by several processes at once, and in atomic batches."""

from typing import Any

import pytest

from tests.core.keeping import START, Process, code, failures
from tests.core.pairing import DAY, Pair
from totohio import TotoSession
from totohio.base.errors import TotoException
from totohio.core.bundling import Bundle, Part
from totohio.core.committing import Unit
from totohio.core.ports import StoreError
from totohio.core.sessioning import session_key

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
