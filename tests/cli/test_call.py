"""``totohio call``: what it sends, and what it makes of replies."""

import http.server
import io
import json
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from totohio.cli import main


class Peer:
    """A server that notes requests and answers them all alike."""

    def __init__(self) -> None:
        self.status = 200
        self.headers = {"Content-Type": "application/json"}
        self.body = b'{"result": null}'
        self.requests: list[tuple[str, dict[str, str], Any]] = []

    def handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        """Make the handler class that http.server wants."""
        peer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                peer.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(peer.status)
                for name, value in peer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(peer.body)))
                self.end_headers()
                self.wfile.write(peer.body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def address_string(self) -> str:
                return ""

        return Handler


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def url(peer: Peer) -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), peer.handler()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_values_that_are_json_are_sent_as_such_and_others_as_texts(peer: Peer, url: str):
    sent = {"n": "3", "t": "true", "l": "[1, 2]", "s": "three", "q": '"3"', "e": "", "x": "a=b", "u": "ö", "b": "[1"}
    means = {"n": 3, "t": True, "l": [1, 2], "s": "three", "q": "3", "e": "", "x": "a=b", "u": "ö", "b": "[1"}
    assert main(["call", "a.b.c", *(f"{key}={value}" for key, value in sent.items()), "--url", url]) == 0
    path, headers, body = peer.requests[0]
    assert path == "/a/b/c"
    assert headers["content-type"] == "application/json"
    assert body == {"parameters": means}


def test_the_name_goes_into_the_body_on_request(peer: Peer, url: str):
    assert main(["call", "a.b", "x=1", "--method-style", "body", "--url", url]) == 0
    assert [peer.requests[0][0], peer.requests[0][2]] == ["/", {"method": "a.b", "parameters": {"x": 1}}]


def test_a_call_without_parameters_hands_the_method_none(peer: Peer, url: str):
    assert main(["call", "m", "--url", url]) == 0
    assert peer.requests[0][2] == {}


def test_parameters_come_from_json_too_or_from_standard_input(peer: Peer, url: str, monkeypatch: pytest.MonkeyPatch):
    assert main(["call", "m", "--json", '{"a": 1, "b": 1}', "b=2", "--url", url]) == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("[1, 2]"))
    assert main(["call", "m", "--json", "-", "--url", url]) == 0
    assert [request[2] for request in peer.requests] == [{"parameters": {"a": 1, "b": 2}}, {"parameters": [1, 2]}]


def test_the_path_of_the_url_is_the_servers_root(peer: Peer, url: str):
    assert main(["call", "m", "--url", url + "/api/v1/"]) == 0
    assert main(["call", "m", "--url", url + "/api/v1", "--method-style=body"]) == 0
    assert [request[0] for request in peer.requests] == ["/api/v1/m", "/api/v1/"]


def test_a_session_goes_into_its_header(peer: Peer, url: str):
    assert main(["call", "m", "--session", "abc", "--url", url]) == 0
    assert peer.requests[0][1]["x-toto-session-id"] == "abc"


def test_a_unix_socket_is_called_too(peer: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = str(tmp_path / "s")
    peer.body = b'{"result": 7}'
    with socketserver.UnixStreamServer(path, peer.handler()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        assert main(["call", "m", "--url", f"unix:{path}"]) == 0
        server.shutdown()
        thread.join()
    assert capsys.readouterr().out == "7\n"


@pytest.mark.parametrize(
    ("body", "output"),
    [
        (b'{"result": {"b": 1, "a": "\xc3\xb6"}}', '{\n  "b": 1,\n  "a": "ö"\n}\n'),
        (b'{"result": false}', "false\n"),
        (b"{}", "null\n"),
        (b"", "null\n"),
    ],
)
def test_a_result_is_printed_as_json(
    peer: Peer, url: str, body: bytes, output: str, capsys: pytest.CaptureFixture[str]
):
    peer.body = body
    assert main(["call", "m", "--url", url]) == 0
    assert capsys.readouterr() == (output, "")


def test_a_raw_response_is_printed_as_it_is(peer: Peer, url: str, capfdbinary: pytest.CaptureFixture[bytes]):
    peer.headers = {"Content-Type": "image/png"}
    peer.body = b"\x89PNG\xff"
    assert main(["call", "m", "--url", url]) == 0
    assert capfdbinary.readouterr() == (b"\x89PNG\xff", b"")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, {"error": {"code": 1001, "value": "Cannot call 'm'."}}, "error 1001: Cannot call 'm'."),
        (200, {"error": {"code": 7, "value": {"a": 1}}, "result": 1}, 'error 7: {"a": 1}'),
        (200, {"error": {"code": 1000, "value": "\x1b[2J\n"}}, r"error 1000: \x1b[2J\n"),
        (200, {"error": "odd"}, 'error "odd"'),
        (413, {"error": {"code": 413, "value": "too large"}}, "error 413: too large"),
        (404, None, "HTTP 404 Not Found"),
    ],
)
def test_an_error_goes_to_standard_error_with_status_1(
    peer: Peer, url: str, status: int, body: Any, error: str, capsys: pytest.CaptureFixture[str]
):
    peer.status = status
    peer.body = json.dumps(body).encode() if body is not None else b"<html>"
    assert main(["call", "m", "--url", url]) == 1
    assert capsys.readouterr() == ("", f"totohio: {error}\n")


def test_a_redirect_is_reported_with_its_target(peer: Peer, url: str, capsys: pytest.CaptureFixture[str]):
    peer.status, peer.headers, peer.body = 302, {"Location": "/sorry"}, b""
    assert main(["call", "m", "--url", url]) == 1
    assert capsys.readouterr().err == "totohio: HTTP 302 Found: /sorry\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["x"], 'expected key=value, got "x"'),
        (["=1"], 'expected key=value, got "=1"'),
        (["--json", "{"], "--json: Expecting property name enclosed in double quotes"),
        (["--json", "[1]", "a=1"], "--json: only an object takes further key=value parameters"),
        (["--url", "ftp://x"], '--url: expected http://HOST:PORT, https://HOST:PORT or unix:/path, got "ftp://x"'),
        (["--url", "127.0.0.1:80"], "--url: expected http://HOST:PORT, https://HOST:PORT or unix:/path"),
        (["--url", "http://h:port"], "--url: Port could not be cast to integer value"),
        (["--url", "https://h", "--cafile", "/nowhere"], "--cafile: No such file or directory"),
        (["--session", "a\nb"], "Invalid header value"),
        (["--timeout", "soon"], "argument --timeout: invalid float value: 'soon'"),
    ],
)
def test_a_mistake_is_one_line_with_status_2(
    url: str, arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["call", "m", "--url", url, *arguments]) == 2
    output, text = capsys.readouterr()
    assert output == ""
    assert text.startswith(f"totohio: {error}")
    assert text.count("\n") == 1


def test_a_server_that_is_not_there_is_one_line_with_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "nothing"
    assert main(["call", "m", "--url", f"unix:{path}"]) == 1
    assert capsys.readouterr().err == f"totohio: unix:{path}: No such file or directory\n"


def test_a_server_that_speaks_no_http_is_one_line_with_status_1(capsys: pytest.CaptureFixture[str]):
    class Other(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(b"220 mail.example ESMTP\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        assert main(["call", "m", "--url", url]) == 1
        thread.join()
    error = capsys.readouterr().err
    assert error.startswith(f"totohio: {url}: ")
    assert error.count("\n") == 1
