"""Two processes over one store, for tests of sessions."""

from typing import Any

from tests.core.keeping import Desk, Process, Wall
from totohio import TotoSession
from totohio.core.committing import Unit
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
