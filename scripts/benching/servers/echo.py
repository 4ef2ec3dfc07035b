"""What a round trip costs at least: a thread for each client, which sends back whatever comes."""

import socket
import sys
import threading

RECEIVE_SIZE = 65536  # bytes


def serve(sock: socket.socket) -> None:
    """Serve one client until it leaves."""
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := sock.recv(RECEIVE_SIZE):
            sock.sendall(data)


def main() -> None:
    """Serve on the given port until killed."""
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


if __name__ == "__main__":
    main()
