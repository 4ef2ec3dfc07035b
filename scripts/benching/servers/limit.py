"""The practical limit: epoll and httptools around the same JSON work, and nothing else at all.

It answers well-formed requests on kept-alive connections. No routing, no limits, no timeouts, no errors.
"""

import select
import socket
import sys

import httptools
import msgspec

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
RECEIVE_SIZE = 65536  # bytes

decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


class Connection:
    """One client: what its parser calls, and the answer."""

    __slots__ = ("body", "parser", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.parser = httptools.HttpRequestParser(self)
        self.body = b""

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.body = b""

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self.body += data

    def on_message_complete(self) -> None:
        """Do the work and answer at once."""
        call = decode(self.body)
        reply = encode({"result": {"parameters": call["parameters"]}})
        self.sock.send(HEAD % len(reply) + reply)


def main() -> None:
    """Serve on the given port until killed."""
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=4096)
    listener.setblocking(False)
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)
    connections: dict[int, Connection] = {}
    while True:
        for number, _ in epoll.poll():
            connection = connections.get(number)
            if connection is None:
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[sock.fileno()] = Connection(sock)
                epoll.register(sock, select.EPOLLIN)
                continue
            try:
                data = connection.sock.recv(RECEIVE_SIZE)
                connection.parser.feed_data(data)
            except (OSError, httptools.HttpParserCallbackError):  # wrk resets its connections when its time is over
                data = b""
            if not data:
                epoll.unregister(number)
                connections.pop(number).sock.close()


if __name__ == "__main__":
    main()
