"""Sessions in a Redis of the user's, beside a store that is something else."""

from typing import Any

from totohio.core.caching import TotoSessionCache
from totohio.core.ports import StoreError
from totohio.wire.packing import decode_msgpack, encode_msgpack

SLACK = 60.0  # seconds for which Redis keeps what has expired, since its clock may differ


class RedisSessionCache(TotoSessionCache):
    """Keeps sessions in Redis, whatever keeps accounts: ``db_connection.set_session_cache(RedisSessionCache(db))``."""

    blocking = True

    def __init__(self, db: Any, prefix: str = "totohio:session:") -> None:
        """Set it up.

        Args:
            db: A client of redis-py, with timeouts of its own.
            prefix: What keys begin with.
        """
        self._db = db
        self._prefix = prefix

    def store_session(self, session_data: dict[str, Any]) -> None:
        """Store a session until it expires.

        Raises:
            StoreError: Redis cannot be reached, or refuses.
        """
        try:
            key = self._prefix + session_data["session_id"]
            value = encode_msgpack(session_data)
            self._db.set(key, value, pxat=int((session_data["expires"] + SLACK) * 1000))
        except Exception as error:  # whatever the client raises
            raise StoreError(f"Redis: {error}") from error

    def load_session(self, session_id: str) -> dict[str, Any] | None:
        """Give the data of a session.

        Raises:
            StoreError: Redis cannot be reached, or refuses.
        """
        try:
            value = self._db.get(self._prefix + session_id)
        except Exception as error:  # whatever the client raises
            raise StoreError(f"Redis: {error}") from error
        return None if value is None else decode_msgpack(value)

    def remove_session(self, session_id: str) -> None:
        """Remove a session.

        Raises:
            StoreError: Redis cannot be reached, or refuses.
        """
        try:
            self._db.delete(self._prefix + session_id)
        except Exception as error:  # whatever the client raises
            raise StoreError(f"Redis: {error}") from error
