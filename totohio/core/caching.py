"""Sessions that live elsewhere than in the store: the class that users subclass."""

from typing import Any


class TotoSessionCache:
    """Keeps sessions in place of the store; `db_connection.set_session_cache` sets it.

    Session data is a dict with the keys ``session_id``, ``user_id``, ``expires`` (float Unix seconds), ``created``
    (likewise), ``key`` (of signatures, "" without), ``state`` (bytes) and ``token`` (names the session whatever its
    id). A cache stores what it is given and looks at nothing in it but ``session_id`` and ``expires``.

    Attributes:
        blocking: Its methods may block, so they are called in worker threads; otherwise they are called in the cycle.
        client_held: The id that it gives holds the session itself, so that nothing is removed when it ends. What ends
            early is noted in the store, as it is for every cache: what is stored once more stays ended.
    """

    blocking = False
    client_held = False

    def store_session(self, session_data: dict[str, Any]) -> str | None:
        """Store a session; give the id that it has from now on, or None when it keeps its id."""
        raise NotImplementedError

    def load_session(self, session_id: str) -> dict[str, Any] | None:
        """Give the data of a session as they were stored, None when there is no such session."""
        raise NotImplementedError

    def remove_session(self, session_id: str) -> None:
        """Remove a session; nothing happens when there is none."""
        raise NotImplementedError
