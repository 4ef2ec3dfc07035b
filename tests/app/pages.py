"""Clients of WebSockets, for tests."""

import json
import socket
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from tests.methods import ECHO, asynchronous, body
from tests.support import STEPS, World

COUNT = body("COUNT.append(parameters)", "return len(COUNT)") + "\nCOUNT = []\n"
METHODS = {
    "echo": ECHO,
    "nap": body("yield parameters['seconds']", "return 'slept'"),
    "later": asynchronous("handler.environment.shared['later'] = handler"),
    "push": body("for n in range(parameters['count']):", "    handler.send_message({'n': n})", "return 'done'"),
    "named": body("handler.send_message('data', message_id='m')"),
    "wait": body("return (yield handler.event('news'))"),
    "send": body("handler.event_manager.send('news', parameters)"),
    "bad": body("raise ValueError('no')"),
    "odd": body("return object()"),
    "stream": body("handler.stream()"),
    "raw": body("handler.respond_raw(b'', 'text/plain')"),
    "typed": "def invoke(handler, number: int):\n    return number + 1\n",
    "count": COUNT,
}


class Page:
    """A client of a WebSocket, with a protocol that is not the server's."""

    def __init__(self, world: World, path: str = "/websocket", **headers: str) -> None:
        self.world = world
        host, port = world.address
        self.protocol = ClientProtocol(parse_uri(f"ws://{host}:{port}{path}"), origin=headers.pop("Origin", None))  # type: ignore[arg-type]
        self.sock = socket.create_connection(world.address, 5)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each message leaves when it is sent
        self.sock.setblocking(False)
        self.response: Response | None = None
        self.messages: list[Any] = []
        self.code: int | None = None
        self.ended = False
        request = self.protocol.connect()
        for name, value in headers.items():
            request.headers[name.replace("_", "-")] = value
        self.protocol.send_request(request)
        self.flush()
        self.until(lambda: self.response is not None)

    def flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                self.sock.sendall(data)

    def receive(self) -> None:
        """Take what is there."""
        try:
            data = self.sock.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.ended = True
            return
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Response):
                self.response = event
            elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY):
                self.messages.append(json.loads(event.data) if event.opcode is Opcode.TEXT else bytes(event.data))
            elif isinstance(event, Frame) and event.opcode is Opcode.CLOSE:
                self.code = int.from_bytes(event.data[:2], "big")
        self.flush()

    def until(self, condition: Any) -> None:
        for _ in range(STEPS):
            if condition():
                return
            self.world.step()
            self.receive()
        raise AssertionError(f"it does not come; messages {self.messages} code {self.code} {self.response}")

    def send(self, method: str, parameters: Any = None, id: Any = None, **more: Any) -> None:
        message: dict[str, Any] = {"method": method, **more}
        if parameters is not None:
            message["parameters"] = parameters
        if id is not None:
            message["id"] = id
        self.text(json.dumps(message))

    def text(self, text: str) -> None:
        self.protocol.send_text(text.encode())
        self.flush()

    def next(self) -> Any:
        self.until(lambda: self.messages)
        return self.messages.pop(0)

    def call(self, method: str, parameters: Any = None) -> Any:
        self.send(method, parameters, id="x")
        message = self.next()
        assert message.pop("id") == "x"
        return message

    def closed(self) -> int | None:
        """Wait for the end; give the code."""
        self.until(lambda: self.ended)
        return self.code

    def close(self) -> None:
        self.sock.close()


def options(**found: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", [found], indirect=True)


def sockets(page: Page) -> Any:
    return page.world.server.built.dispatcher.sockets
