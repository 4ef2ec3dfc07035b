"""What a service manager hears."""

import socket
from pathlib import Path

import pytest

from totohio.app.notifying import WatchdogDoer


def test_a_service_manager_hears_twice_in_its_time_that_cycles_take_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        doer = WatchdogDoer(30.0)
        doer.enter()
        heard = []
        for tyme in (100.0, 114.0, 115.0, 129.0, 130.0, 200.0, 201.0):
            assert doer.recur(tyme) is False
            try:
                heard.append((tyme, manager.recv(4096)))
            except BlockingIOError:
                assert tyme < doer.due(tyme) <= tyme + 15.0
    assert heard == [(tyme, b"WATCHDOG=1") for tyme in (100.0, 115.0, 130.0, 200.0)]
