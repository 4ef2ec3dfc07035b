"""What every store and every session cache must do, as tests for pytest that anybody can run on theirs.

    from totohio.store.conforming import StoreSuite

    class TestMine(StoreSuite):
        def make(self, folder):
            return MyStore(folder)

Each test gets a new, empty store. Where records come later, `settle` waits for them.
"""

from pathlib import Path
from typing import Any

from totohio.base.clocking import Clock, Minter
from totohio.base.futures import Future
from totohio.core.caching import TotoSessionCache
from totohio.core.ports import MAX_KEY, VERSION, Store, Transaction, Write

PATIENCE = 10.0  # seconds that a store may take for one thing
MOMENT = 0.0005  # seconds between two looks

minter = Minter()


def new(payload: bytes = b"") -> bytes:
    """Give a value with a version of its own."""
    return minter.draw(VERSION) + payload


def put(key: bytes, value: bytes | None, *conditions: tuple[bytes, bytes | None], expires: float = 0.0) -> Transaction:
    """Give a transaction that writes one record."""
    return Transaction(conditions, (Write(key, value, expires),))


class StoreSuite:
    """The tests of a store."""

    durable = True  # what was committed is there when it is opened again

    def make(self, folder: Path) -> Store:
        """Make a store, not opened yet, that is empty when the folder is."""
        raise NotImplementedError

    def settle(self, store: Store, future: Future[Any]) -> Any:
        """Give the result of a Future, once it is there."""
        clock = Clock()
        flush = getattr(store, "flush", None)
        end = clock.monotonic() + PATIENCE
        while not future.done() and clock.monotonic() < end:
            if flush is not None:
                flush()
            clock.sleep(MOMENT)
        return future.result()

    def opened(self, folder: Path) -> Store:
        """Make a store and open it."""
        store = self.make(folder)
        store.open()
        return store

    def commit(self, store: Store, *transactions: Transaction) -> list[bool]:
        """Commit as one group."""
        return self.settle(store, store.commit(transactions))  # type: ignore[no-any-return]

    def get(self, store: Store, *keys: bytes) -> list[bytes | None]:
        """Give the values of records."""
        found: list[bytes | None] = self.settle(store, store.load(keys))
        if store.local:
            assert [store.read(key) for key in keys] == found
        return found

    # ------------------------------------------------------------ records

    def test_what_is_not_there_is_none(self, tmp_path: Path) -> None:
        """No record, no value."""
        store = self.opened(tmp_path)
        assert self.get(store, b"a", b"b") == [None, None]
        store.close()

    def test_what_is_written_is_there(self, tmp_path: Path) -> None:
        """Values come back byte by byte, whatever is in them."""
        store = self.opened(tmp_path)
        values = [new(), new(bytes(range(256))), new(b"x" * 100_000), new(b"\r\n\0")]
        keys = [b"k%d" % number for number in range(len(values))]
        assert self.commit(store, *(put(key, value) for key, value in zip(keys, values, strict=True))) == [True] * 4
        assert self.get(store, *keys) == values
        store.close()

    def test_keys_may_be_any_bytes(self, tmp_path: Path) -> None:
        """Keys are bytes, up to their largest size."""
        store = self.opened(tmp_path)
        keys = [b"\0", b"\xff" * MAX_KEY, b"a\0b", b"{a}", b" "]
        values = [new(key) for key in keys]
        self.commit(store, *(put(key, value) for key, value in zip(keys, values, strict=True)))
        assert self.get(store, *keys) == values
        store.close()

    def test_a_record_is_replaced_and_removed(self, tmp_path: Path) -> None:
        """The last write counts; None removes, also what is not there."""
        store = self.opened(tmp_path)
        second = new(b"2")
        assert self.commit(store, put(b"a", new(b"1")), put(b"a", second)) == [True, True]
        assert self.get(store, b"a") == [second]
        assert self.commit(store, put(b"a", None), put(b"b", None)) == [True, True]
        assert self.get(store, b"a", b"b") == [None, None]
        store.close()

    # ------------------------------------------------------------ transactions

    def test_conditions_hold_or_nothing_is_written(self, tmp_path: Path) -> None:
        """A transaction with a wrong version does nothing at all."""
        store = self.opened(tmp_path)
        first = new(b"1")
        self.commit(store, put(b"a", first))
        wrong = [
            Transaction(((b"a", None),), (Write(b"b", new()), Write(b"a", new()))),
            Transaction(((b"a", minter.draw(VERSION)),), (Write(b"b", new()),)),
            Transaction(((b"none", first[:VERSION]),), (Write(b"b", new()),)),
            Transaction(((b"a", first[:VERSION]), (b"a2", first[:VERSION])), (Write(b"b", new()),)),
        ]
        assert self.commit(store, *wrong) == [False] * 4
        assert self.get(store, b"a", b"b") == [first, None]
        store.close()

    def test_conditions_that_hold_let_all_be_written(self, tmp_path: Path) -> None:
        """All of its writes happen, removals among them."""
        store = self.opened(tmp_path)
        first, second = new(b"1"), new(b"2")
        self.commit(store, put(b"a", first), put(b"gone", new()))
        good = Transaction(
            ((b"a", first[:VERSION]), (b"b", None)), (Write(b"b", second), Write(b"gone", None), Write(b"a", None))
        )
        assert self.commit(store, good) == [True]
        assert self.get(store, b"a", b"b", b"gone") == [None, second, None]
        store.close()

    def test_transactions_of_a_group_see_each_other(self, tmp_path: Path) -> None:
        """Of two that want the same version the first wins, and a third may build upon it."""
        store = self.opened(tmp_path)
        values = [new(b"%d" % number) for number in range(4)]
        group = [
            put(b"a", values[0], (b"a", None)),
            put(b"a", values[1], (b"a", None)),
            put(b"a", values[2], (b"a", values[0][:VERSION])),
            put(b"a", values[3], (b"a", values[1][:VERSION])),
        ]
        assert self.commit(store, *group) == [True, False, True, False]
        assert self.get(store, b"a") == [values[2]]
        store.close()

    def test_groups_take_effect_in_their_order(self, tmp_path: Path) -> None:
        """A group that was asked for later never comes before."""
        store = self.opened(tmp_path)
        values = [new(b"%d" % number) for number in range(20)]
        futures = []
        before: bytes | None = None
        for value in values:
            futures.append(store.commit([put(b"a", value, (b"a", before))]))
            before = value[:VERSION]
        assert [self.settle(store, future) for future in futures] == [[True]] * 20
        assert self.get(store, b"a") == [values[-1]]
        store.close()

    def test_a_commit_may_be_asked_for_again(self, tmp_path: Path) -> None:
        """A transaction that has been applied is true the second time, and changes nothing."""
        store = self.opened(tmp_path)
        first, second = new(b"1"), new(b"2")
        one = Transaction(((b"a", None),), (Write(b"a", first), Write(b"b", new())))
        assert self.commit(store, one) == [True]
        assert self.commit(store, one) == [True]
        two = put(b"a", second, (b"a", first[:VERSION]))
        assert self.commit(store, two, two) == [True, True]
        assert self.commit(store, one) == [False]
        assert self.get(store, b"a") == [second]
        store.close()

    def test_transactions_may_be_empty_or_lazy(self, tmp_path: Path) -> None:
        """A group without transactions, one without writes, and lazy ones."""
        store = self.opened(tmp_path)
        value = new()
        assert self.commit(store) == []
        assert self.commit(store, Transaction((), ()), Transaction(((b"a", None),), ())) == [True, True]
        assert self.commit(store, Transaction((), (Write(b"a", value),), lazy=True)) == [True]
        assert self.commit(store, Transaction(((b"a", None),), ())) == [False]
        assert self.get(store, b"a") == [value]
        store.close()

    def test_a_large_group_is_committed_as_a_whole(self, tmp_path: Path) -> None:
        """A thousand transactions are one group."""
        store = self.opened(tmp_path)
        values = [new(b"x" * 500) for _ in range(1000)]
        group = [put(b"k%d" % number, value) for number, value in enumerate(values)]
        assert self.commit(store, *group) == [True] * 1000
        assert self.get(store, *(b"k%d" % number for number in range(0, 1000, 50))) == values[::50]
        store.close()

    # ------------------------------------------------------------ the end of records

    def test_what_has_not_expired_is_never_removed(self, tmp_path: Path) -> None:
        """Sweeping takes only what has expired; a record that is written again has a new end."""
        store = self.opened(tmp_path)
        now = Clock().now()
        values = [new(b"%d" % number) for number in range(4)]
        self.commit(
            store,
            put(b"later", values[0], expires=now + 1000),
            put(b"never", values[1]),
            put(b"moved", new(), expires=now - 1000),
            put(b"freed", new(), expires=now - 1000),
        )
        self.commit(store, put(b"moved", values[2], expires=now + 1000), put(b"freed", values[3]))
        for _ in range(3):
            self.settle(store, store.sweep(now, 100))
        assert self.get(store, b"later", b"never", b"moved", b"freed") == values
        store.close()

    def test_sweeping_is_bounded_and_comes_to_an_end(self, tmp_path: Path) -> None:
        """A local store removes what has expired, at most so many at a time, and tells how many."""
        store = self.opened(tmp_path)
        now = Clock().now()
        if store.local:
            self.commit(store, *(put(b"k%d" % number, new(), expires=now - 10.0 + number) for number in range(25)))
            counts = [self.settle(store, store.sweep(now + 4.5, 6)) for _ in range(5)]
            assert counts == [6, 6, 3, 0, 0]
            found = self.get(store, *(b"k%d" % number for number in range(25)))
            assert [value is None for value in found] == [True] * 15 + [False] * 10
        else:
            assert self.settle(store, store.sweep(now, 6)) == 0
        store.close()

    # ------------------------------------------------------------ its life

    def test_closing_twice_does_no_harm(self, tmp_path: Path) -> None:
        """Nor does opening again; what was committed is still there."""
        store = self.opened(tmp_path)
        value = new()
        self.commit(store, put(b"a", value))
        store.close()
        store.close()
        store.open()
        assert self.get(store, b"a") == [value]
        store.close()

    def test_another_finds_what_was_committed(self, tmp_path: Path) -> None:
        """What was committed outlives the store that did it."""
        store = self.opened(tmp_path)
        value = new()
        self.commit(store, put(b"a", value))
        store.close()
        if self.durable:
            other = self.opened(tmp_path)
            assert self.get(other, b"a") == [value]
            other.close()


class SessionCacheSuite:
    """The tests of a session cache."""

    keeps_ids = True  # a session keeps its id when it is stored again
    removes = True  # a session that was removed is gone

    def make(self, folder: Path) -> TotoSessionCache:
        """Make an empty cache."""
        raise NotImplementedError

    def data(self, session_id: str, **changes: Any) -> dict[str, Any]:
        """Give the data of a session."""
        now = Clock().now()
        return {
            "session_id": session_id,
            "user_id": "ada@example.org",
            "expires": now + 1000.0,
            "created": now,
            "key": minter.token(),
            "state": b"\x81\xa1n\x01",
            "token": session_id,
            **changes,
        }

    def stored(self, cache: TotoSessionCache, data: dict[str, Any]) -> str:
        """Store a session and give its id."""
        return cache.store_session(data) or str(data["session_id"])

    def same(self, found: dict[str, Any] | None, data: dict[str, Any]) -> bool:
        """Tell whether what was loaded is what was stored."""
        return found is not None and all(
            found.get(name) == value for name, value in data.items() if name != "session_id"
        )

    def test_what_is_stored_is_loaded(self, tmp_path: Path) -> None:
        """All data come back, whatever is in them."""
        cache = self.make(tmp_path)
        for changes in (
            {},
            {"user_id": ""},
            {"user_id": "\u00e9mile"},
            {"key": ""},
            {"state": b""},
            {"state": bytes(range(256))},
        ):
            data = self.data(minter.token(), **changes)
            assert self.same(cache.load_session(self.stored(cache, data)), data)

    def test_storing_again_replaces(self, tmp_path: Path) -> None:
        """The last state counts."""
        cache = self.make(tmp_path)
        data = self.data(minter.token())
        first = self.stored(cache, data)
        data = {**data, "session_id": first, "state": b"\x81\xa1n\x02"}
        second = self.stored(cache, data)
        assert self.same(cache.load_session(second), data)
        if self.keeps_ids:
            assert first == second

    def test_sessions_are_not_mixed_up(self, tmp_path: Path) -> None:
        """Each id is of one session."""
        cache = self.make(tmp_path)
        all_data = [self.data(minter.token(), user_id=f"user {number}") for number in range(50)]
        ids = [self.stored(cache, data) for data in all_data]
        assert len(set(ids)) == 50
        for session_id, data in zip(ids, all_data, strict=True):
            assert self.same(cache.load_session(session_id), data)

    def test_what_was_removed_is_gone(self, tmp_path: Path) -> None:
        """Removing what is not there does nothing."""
        cache = self.make(tmp_path)
        session_id = self.stored(cache, self.data(minter.token()))
        cache.remove_session(session_id)
        cache.remove_session(session_id)
        if self.removes:
            assert cache.load_session(session_id) is None
