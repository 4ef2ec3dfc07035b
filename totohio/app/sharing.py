"""The listening sockets that processes share: one of each kind for each place, all of them held by who watches."""

import socket
from typing import Any

from totohio.app.settings import Settings
from totohio.net.linking import place as written
from totohio.net.networking import listeners


class Shares:
    """Sockets that stay open while the processes that take connections from them come and go."""

    def __init__(self, settings: Settings, *, count: int, handed: socket.socket | None = None) -> None:
        """Listen.

        Args:
            settings: Say where.
            count: How many places there are.
            handed: A socket that listens already, on which all serve.

        Raises:
            OSError: An address is in use, unknown or forbidden.
        """
        self._secured = settings.certfile is not None
        self._kinds: list[list[socket.socket]] = []  # to serve, to take events of other hosts, to lend
        address: Any = settings.uds if settings.uds is not None else (settings.host, settings.port)
        self._kinds.append(
            [handed] * count if handed is not None else listeners(address, count=count, backlog=settings.backlog)
        )
        try:
            self._kinds.append([])
            if settings.event_mode != "off" and settings.event_bus in ("auto", "peers"):
                for slot in range(count):
                    place = (settings.event_host, settings.event_port + slot if settings.event_port else 0)
                    self._kinds[1] += listeners(place, count=1, backlog=settings.backlog)
            self._kinds.append([])
            if settings.remote_enabled:
                place = (settings.remote_host, settings.remote_port)
                self._kinds[2] += listeners(place, count=count, backlog=settings.backlog)
        except OSError:
            self.close()
            raise

    def of(self, slot: int) -> tuple[int, int, int]:
        """Give the descriptors of a place: to serve, to take events of other hosts, to lend; -1 where there is none."""
        serve, remote, lend = (socks[slot].fileno() if socks else -1 for socks in self._kinds)
        return serve, remote, lend

    def close(self) -> None:
        """Stop listening; twice does no harm."""
        for sock in {sock for socks in self._kinds for sock in socks}:
            sock.close()

    def url(self) -> str:
        """Where they serve, as a URL: ``http://127.0.0.1:8888``, or ``unix:/path``."""
        found: Any = self._kinds[0][0].getsockname()
        if isinstance(found, (str, bytes)):
            return f"unix:{found if isinstance(found, str) else found.decode()}"
        return f"{'https' if self._secured else 'http'}://{written(found[:2])}"

    def remote_url(self) -> str | None:
        """Where they lend, as a URL: ``totohio://127.0.0.1:8890``; None where they do not."""
        if not self._kinds[2]:
            return None
        scheme = "totohio+tls" if self._secured else "totohio"
        return f"{scheme}://{written(self._kinds[2][0].getsockname()[:2])}"
