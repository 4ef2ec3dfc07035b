"""The load on a server: wrk at full speed, one client that waits for each reply, and a crowd of idle connections."""

import http.client
import json
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass

from peers import HERE, SINGLE, SINGLE_REPLY, Failure, Server, receive, send

OPENED_AT_ONCE = 500  # connections whose first requests are under way together, so that slow servers finish too
CLIENT_TIMEOUT = 10  # seconds until wrk counts a reply as lost
RECEIVE_SIZE = 65536  # bytes


@dataclass(frozen=True)
class Load:
    """What one run of wrk measured: requests and bytes per second, and seconds to the reply."""

    rate: float
    bandwidth: float
    p99: float


def press(server: Server, body: bytes, *, connections: int, seconds: float) -> Load:
    """Have wrk send the same call over kept-alive connections, each sending again as soon as it is answered.

    Raises:
        Failure: A call failed.
    """
    return load(server, "post.lua", body, connections=connections, seconds=seconds)


def load(server: Server, script: str, data: bytes, *, connections: int, seconds: float) -> Load:
    """Have wrk send what a script makes of data, over kept-alive connections.

    Raises:
        Failure: A call failed.
    """
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(HERE / script)]
        command += ["--latency", f"--timeout={CLIENT_TIMEOUT}s", f"http://127.0.0.1:{server.port}/", file.name]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise Failure(f"{server.peer.name} failed under load: {run.stderr or run.stdout}")
    found = json.loads(run.stdout.strip().splitlines()[-1])
    if found["errors"] or not found["requests"]:
        raise Failure(f"{server.peer.name} failed under load:\n{run.stdout}")
    duration = found["duration"] / 1e6
    return Load(found["requests"] / duration, found["bytes"] / duration, found["p99"] / 1e6)


def converse(server: Server, seconds: float) -> tuple[float, float]:
    """Send a call over one kept-alive connection again and again; give the median and p99 of the seconds to the reply.

    A blocking socket in Python has the median of wrk with one connection, within noise, and half of its p99 or less:
    what this loop does between two clock readings is two system calls.

    Raises:
        Failure: A call failed.
    """
    request = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    request %= len(SINGLE), SINGLE
    clock = time.perf_counter
    spent = []
    with socket.create_connection(("127.0.0.1", server.port), timeout=CLIENT_TIMEOUT) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = clock() + seconds
        while (start := clock()) < end:
            sock.sendall(request)
            reply = sock.recv(RECEIVE_SIZE)
            while reply and not reply.endswith(SINGLE_REPLY):
                reply += sock.recv(RECEIVE_SIZE)
            spent.append(clock() - start)
            if not reply.startswith(b"HTTP/1.1 200 "):
                raise Failure(f"{server.peer.name} answered {reply!r}")
    spent.sort()
    return spent[len(spent) // 2], spent[len(spent) * 99 // 100]


class Crowd:
    """Many kept-alive connections that are idle after one request each."""

    def __init__(self, server: Server, size: int) -> None:
        self.server = server
        self.connections: list[http.client.HTTPConnection] = []
        while len(self.connections) < size:
            fresh = [server.connect() for _ in range(min(OPENED_AT_ONCE, size - len(self.connections)))]
            for connection in fresh:
                send(connection, SINGLE)
            for connection in fresh:
                receive(connection)
            self.connections += fresh

    def check(self) -> None:
        """Make sure that every connection is still served.

        Raises:
            Failure: One is not.
        """
        for connection in self.connections:
            connection.auto_open = 0  # a connection that the server closed must not come back unnoticed
        for start in range(0, len(self.connections), OPENED_AT_ONCE):
            group = self.connections[start : start + OPENED_AT_ONCE]
            try:
                for connection in group:
                    send(connection, SINGLE)
                wrong = [body for body in map(receive, group) if body != SINGLE_REPLY]
            except (OSError, http.client.HTTPException) as error:
                raise Failure(f"{self.server.peer.name} lost an idle connection: {error!r}") from error
            if wrong:
                raise Failure(f"{self.server.peer.name} answered an idle connection with {wrong[0]!r}")

    def close(self) -> None:
        """Close them all."""
        for connection in self.connections:
            connection.close()
