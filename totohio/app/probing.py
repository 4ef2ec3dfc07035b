"""Health and readiness: what load balancers and service managers ask."""

from collections.abc import Callable
from typing import Any

Probe = Callable[[], tuple[int, dict[str, Any]]]


class Probes:
    """Answers at the paths that the settings name.

    Attributes:
        paths: What gives the status and the body at each path.
    """

    def __init__(self, *, health: str, ready: str, retiring: Callable[[], bool], reachable: Callable[[], bool]) -> None:
        """Set them up.

        Args:
            health: The path at which a process says that it lives; "" for none.
            ready: The path at which it says whether calls would be answered; "" for none.
            retiring: Tells whether the server is going down.
            reachable: Tells whether its store can be reached, as far as that is known.
        """
        self._retiring = retiring
        self._reachable = reachable
        probes: dict[str, Probe] = {health: self._health, ready: self._ready}
        self.paths = {path: probe for path, probe in probes.items() if path}

    def _health(self) -> tuple[int, dict[str, Any]]:
        return 200, {"status": "ok"}

    def _ready(self) -> tuple[int, dict[str, Any]]:
        if self._retiring():
            return 503, {"status": "going down"}
        if not self._reachable():
            return 503, {"status": "store unavailable"}
        return 200, {"status": "ok"}
