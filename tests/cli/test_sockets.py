"""WebSockets for real: a public client and a browser talk to a server that was started as users start it."""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.cli.test_processes import Server
from tests.processes import LONG

PAGE = """
from totohio import raw_response

TEXT = '''<!DOCTYPE html><title>t</title><p id="told"></p><img src="/pause"><script>
const socket = new WebSocket(`ws://${location.host}/websocket`);
const told = [];
socket.onopen = () => {
  socket.send(JSON.stringify({method: "double", parameters: {n: 21}, id: 1}));
  socket.send(JSON.stringify({method: "double", parameters: {n: "\u00e9"}, id: 2}));
};
socket.onmessage = (message) => {
  told.push(JSON.parse(message.data).result);
  if (told.length === 2) { socket.close(1000); }
};
socket.onclose = (close) => {
  document.getElementById("told").textContent = JSON.stringify([told, close.code, close.wasClean, socket.extensions]);
  fetch("/seen");  // whereupon the image is there and the page complete
};
</script>'''

@raw_response
def invoke(handler, parameters):
    handler.response_type = "text/html; charset=utf-8"
    return TEXT
"""
METHODS = {
    "double": "def invoke(handler, parameters):\n    return parameters['n'] * 2\n",
    "page": PAGE,
    "pause": "def invoke(handler, parameters):\n    yield handler.event('seen', timeout=20.0)\n",
    "seen": "def invoke(handler, parameters):\n    handler.event_manager.send('seen')\n",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path, METHODS, "--database", "none", "--use-web-sockets", traced=False)
    yield made
    made.close()
    made.kill()


def test_the_client_of_the_package_websockets_talks_to_it(server: Server) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/websocket", open_timeout=LONG) as socket:
        for number in range(200):
            socket.send(json.dumps({"method": "double", "parameters": {"n": number}, "id": number}))
        answers = [json.loads(socket.recv(LONG)) for _ in range(200)]
        assert answers == [{"id": number, "result": 2 * number} for number in range(200)]
        socket.send(["{" + '"method":"double",', '"parameters":{"n":"', "x" * 200_000, '"},"id":1}'])  # in fragments
        assert len(json.loads(socket.recv(LONG))["result"]) == 400_000
        assert socket.ping().wait(LONG)
        server.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(LONG)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001
    assert server.wait() == 0


def test_a_page_of_another_origin_is_refused(server: Server) -> None:
    with (
        pytest.raises(InvalidStatus),
        connect(
            f"ws://127.0.0.1:{server.port}/websocket",
            origin="http://evil.example",  # type: ignore[arg-type]
        ),
    ):
        pass


def test_a_browser_talks_to_it(server: Server, tmp_path: Path) -> None:
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed")
    command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{server.port}/page"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=2 * LONG,
        check=True,
    )
    found = re.search(r'<p id="told">(.*)</p>', done.stdout)
    assert found is not None, done.stdout
    told, code, clean, extensions = json.loads(found[1])
    assert (told, code, clean) == ([42, "éé"], 1000, True)
    assert extensions.startswith("permessage-deflate")
