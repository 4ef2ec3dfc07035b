"""A session as methods see it: a dict that is kept, and how two changes of one are made one."""

import base64
import hashlib
import hmac
import json
import math
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.core.keeping import Desk, Process, code
from totohio import TotoSession
from totohio.base.errors import TotoException
from totohio.core.session import MessagePack, merge


@pytest.fixture(params=[True, False], ids=["local", "remote"])
def process(request: pytest.FixtureRequest) -> Process:
    return Process(Desk(local=request.param, held=False))


@pytest.fixture
def session_id(process: Process) -> str:
    return process.call(process.sessions.open_anonymous).session_id  # type: ignore[no-any-return]


def use(process: Process, session_id: str, function: Any) -> Any:
    """Make a call that does something with its session."""
    return process.call(lambda unit: function(process.sessions.find(unit, session_id)))


def state(process: Process, session_id: str) -> dict[Any, Any]:
    """What is kept."""
    return dict(use(process, session_id, lambda session: session.state))


def save(**changes: Any) -> Any:
    """A call that sets keys and saves."""

    def function(session: TotoSession) -> None:
        for key, value in changes.items():
            session[key] = value
        session.save()

    return function


# ---------------------------------------------------------------- like a dict


def test_it_reads_and_writes_like_a_dict_and_none_where_there_is_nothing(process: Process, session_id: str) -> None:
    def function(session: TotoSession) -> None:
        assert session["a"] is None
        assert "a" not in session
        assert session  # an empty one is one, too
        session["a"] = 1
        session["b"] = None
        assert (session["a"], session["b"], session.get("c", 3), len(session)) == (1, None, 3, 2)
        assert list(session) == ["a", "b"]
        assert "b" in session
        del session["b"]
        del session["b"]
        assert session.state == {"a": 1}

    use(process, session_id, function)


def test_what_is_saved_is_there_with_the_next_call_and_what_is_not_is_not(process: Process, session_id: str) -> None:
    use(process, session_id, save(a=1, b=[{"c": b"\0"}]))

    def change(session: TotoSession) -> None:
        session["a"] = 2

    use(process, session_id, change)
    assert state(process, session_id) == {"a": 1, "b": [{"c": b"\0"}]}

    def remove(session: TotoSession) -> None:
        del session["a"]
        session["b"].append(1)  # in place
        session.save()

    use(process, session_id, remove)
    assert state(process, session_id) == {"b": [{"c": b"\0"}, 1]}


def test_refreshing_drops_what_was_not_saved(process: Process, session_id: str) -> None:
    use(process, session_id, save(a=1))

    def function(session: TotoSession) -> Any:
        session["a"], session["b"] = 2, 3
        session.refresh()
        return dict(session.state)

    assert use(process, session_id, function) == {"a": 1}


def test_what_cannot_be_kept_is_refused_and_the_session_stays_as_it_was(process: Process, session_id: str) -> None:
    use(process, session_id, save(a=1))
    for value in (object(), 2**70, "\ud800", [{1: object()}]):
        with pytest.raises(TotoException) as caught:
            use(process, session_id, save(a=value))
        assert caught.value.code == 1000
    assert state(process, session_id) == {"a": 1}


KEYS = st.one_of(st.text(max_size=3), st.integers(-9, 9), st.binary(max_size=3), st.tuples(st.text(max_size=1)))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(), st.binary()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
STATES = st.dictionaries(KEYS, VALUES, max_size=4)


@given(value=STATES)
def test_whatever_can_be_kept_can_be_read(value: dict[Any, Any]) -> None:
    assert same(TotoSession.loads(TotoSession.dumps(value)), value)


# ---------------------------------------------------------------- the serializer


class Json:
    """A serializer of a user."""

    @staticmethod
    def dumps(value: Any) -> bytes:
        return json.dumps(value).encode()

    @staticmethod
    def loads(data: bytes) -> Any:
        return json.loads(data)


@pytest.fixture
def serializer() -> Iterator[Any]:
    yield TotoSession.set_serializer
    TotoSession.set_serializer(MessagePack)


def test_another_serializer_makes_the_bytes_that_are_kept(process: Process, session_id: str, serializer: Any) -> None:
    serializer(Json)
    use(process, session_id, save(a=[1, "\u00e9"]))
    assert state(process, session_id) == {"a": [1, "\u00e9"]}
    values = process.store.records._values.values()  # type: ignore[attr-defined]
    assert any(b'{"a": [1, "\\u00e9"]}' in value for value in values)


def test_pickle_keeps_what_messagepack_cannot(process: Process, session_id: str, serializer: Any) -> None:
    serializer(pickle)
    use(process, session_id, save(a={1, 2}, b=2**70))
    assert state(process, session_id) == {"a": {1, 2}, "b": 2**70}
    use(process, session_id, save(a={("x", 1)}))
    assert state(process, session_id) == {"a": {("x", 1)}, "b": 2**70}


# ---------------------------------------------------------------- signatures


def test_it_signs_with_its_key_and_knows_its_signatures() -> None:
    process = Process(Desk(held=False), keyed=True, algorithm="sha1")
    session = process.call(process.sessions.open_anonymous)
    wanted = hmac.new(session.key.encode(), b"caf\xc3\xa9", hashlib.sha1).digest()
    mac = session.hmac("caf\u00e9")
    assert base64.b64decode(mac) == wanted
    assert mac == session.hmac(b"caf\xc3\xa9")
    assert session.verify(mac, "caf\u00e9")
    assert session.verify(mac.encode(), b"caf\xc3\xa9")
    for wrong in (None, "", b"", mac[:-1], mac + "=", mac.lower(), "\u00e9" * 28, "\ud800"):
        assert not session.verify(wrong, "caf\u00e9")
    assert not session.verify(mac, "cafe")


def test_without_a_key_nothing_is_its_signature(process: Process, session_id: str) -> None:
    forged = base64.b64encode(hmac.new(b"", b"data", hashlib.sha256).digest()).decode()
    assert not use(process, session_id, lambda session: session.verify(forged, b"data"))


def test_ids_are_22_characters_and_never_the_same() -> None:
    ids = {TotoSession.generate_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(base64.urlsafe_b64decode(session_id + "==")) == 16 for session_id in ids)
    assert all(len(session_id) == 22 for session_id in ids)


# ---------------------------------------------------------------- two changes of one


def same(one: Any, other: Any) -> bool:
    """Tell whether two states are the same, by what they look like: NaN is NaN, and 1 is neither True nor 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return len(one) == len(other) and all(key in other and same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    return type(one) is type(other) and repr(one) == repr(other)


@given(base=STATES, mine=STATES, theirs=STATES)
def test_merging_takes_each_key_from_who_changed_it(
    base: dict[Any, Any], mine: dict[Any, Any], theirs: dict[Any, Any]
) -> None:
    absent = object()
    wanted = {}
    conflicts = False
    for key in [*base, *mine, *theirs]:
        before, me, they = (some.get(key, absent) for some in (base, mine, theirs))
        if same(me, before):
            value = they
        elif same(they, before):
            value = me
        else:
            conflicts = True
            continue
        if value is not absent:
            wanted[key] = value
    if conflicts:
        with pytest.raises(TotoException) as caught:
            merge(base, mine, theirs)
        assert caught.value.code == 1017
    else:
        assert same(merge(base, mine, theirs), wanted)


@given(base=STATES, one=STATES, other=STATES)
def test_merging_comes_out_the_same_whoever_is_first(
    base: dict[Any, Any], one: dict[Any, Any], other: dict[Any, Any]
) -> None:
    try:
        merged = merge(base, one, other)
    except TotoException:
        with pytest.raises(TotoException):
            merge(base, other, one)
        return
    assert same(merged, merge(base, other, one))


@given(base=STATES, mine=STATES)
def test_merging_with_nobody_changes_nothing(base: dict[Any, Any], mine: dict[Any, Any]) -> None:
    assume(not same(base, mine))
    assert same(merge(base, mine, base), mine)
    assert same(merge(base, base, mine), mine)


def test_two_who_have_counted_alike_are_not_one() -> None:
    with pytest.raises(TotoException) as caught:
        merge({"n": 21}, {"n": 22}, {"n": 22})
    assert code(caught.value) == 1017


def test_what_looks_equal_and_is_not_counts_as_changed() -> None:
    assert same(merge({"a": [1]}, {"a": [True]}, {"a": [1], "b": 2}), {"a": [True], "b": 2})
    for mine, theirs in ((2, True), (2.0, 1.0), (True, 1.0)):
        with pytest.raises(TotoException):
            merge({"a": 1}, {"a": mine}, {"a": theirs})


def test_what_is_not_a_number_is_not_changed_by_being_read() -> None:
    base, mine, theirs = ({"a": [math.nan], "b": number} for number in (1, 2, 1))
    theirs["c"] = 3
    merged = merge(base, mine, theirs)
    assert (merged["b"], merged["c"]) == (2, 3)


def test_the_conflict_names_the_key() -> None:
    with pytest.raises(TotoException) as caught:
        merge({}, {"basket": 1}, {"basket": 2})
    assert code(caught.value) == 1017
    assert "basket" in caught.value.value
