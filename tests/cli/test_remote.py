"""``totohio remote``: scripts, and what is said when there is no session; test_remote_prompt.py has the prompt."""

import io
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from tests.processes import LONG
from tests.remote.support import PASSWORD, Site, serving
from totohio.cli import main

LENT = """
from totohio import lend


@lend
def add(a, b=0):
    return a + b


@lend
def fail(text):
    raise ValueError(text)


@lend
def sum(values):
    return "a sum of the server"


@lend(attributes=["name"])
class Cat:
    def __init__(self, name):
        self.name = name

    @lend
    def purrs(self):
        return 7


tom = Cat("Tom")
"""

Script = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("site"), LENT, hmac_enabled=True, remote_path="/lend") as site:
        yield site


@pytest.fixture
def script(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Script:
    """Gives the exit status of a script, and what it has written to standard output and standard error."""

    def run(text: str, *words: str, password: str = PASSWORD, **environ: str) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
            for name, value in {"TOTOHIO_PASSWORD": password, **environ}.items():
                patch.setenv(name, value)
            status = main(["remote", *words])
        out, err = capsys.readouterr()
        return status, out, err

    return run


# ---------------------------------------------------------------- scripts


def test_a_script_uses_what_is_lent_as_if_it_were_here(site: Site, script: Script):
    text = """
class Total:
    value = add(1, 2)
def twice(number):
    return add(number, number)
print(Total.value, [twice(number) for number in range(3)], tom.purrs(), tom.name)
print(remote.user_id, sum([1]), max(3, 4))
sum = 5
print(sum)
"""
    assert script(text, site.url, "--user-id", "ada") == (0, "3 [0, 2, 4] 7 Tom\nada a sum of the server 4\n5\n", "")


def test_the_first_exception_ends_a_script_and_is_shown_as_it_was_raised_at_the_server(site: Site, script: Script):
    text = "print('first')\nfail('no \\x1b[31m luck')\nprint('second')\n"
    status, out, err = script(text, site.url, "--user-id", "ada")
    assert (status, out) == (1, "first\n")
    here, there = err.split("\nAt the server:\n")
    for part in (here, there):
        assert part.startswith("Traceback (most recent call last):\n")
        assert part.rstrip().endswith("ValueError: no \\x1b[31m luck")
    assert 'File "<stdin>", line 2, in <module>\n    fail(' in here
    assert "in fail\n    raise ValueError(text)" in there


def test_the_servers_traceback_is_shown_as_well_when_something_else_is_raised_because_of_it(site: Site, script: Script):
    text = "try:\n    fail('deep')\nexcept ValueError as error:\n    raise KeyError('mine') from error\n"
    status, _, err = script(text, site.url, "--user-id", "ada")
    assert status == 1
    here, there = err.split("\nAt the server:\n")
    assert here.rstrip().endswith("KeyError: 'mine'")
    assert there.rstrip().endswith("ValueError: deep")


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("print('first')\nnothing_such\n", "NameError: name 'nothing_such' is not defined"),
        ("print('first')\ntom.secret\n", "AttributeError: <remote Cat of URL> lends no 'secret'"),
        ("print('first')\nraise SystemExit('enough')\n", "enough"),
    ],
)
def test_what_is_not_there_is_an_error(site: Site, script: Script, text: str, last: str):
    status, out, err = script(text, site.url, "--user-id", "ada")
    assert (status, out) == (1, "first\n")
    assert err.replace(site.url, "URL").rstrip().splitlines()[-1] == last
    assert "At the server" not in err


def test_a_script_that_is_none_does_nothing(site: Site, script: Script):
    status, out, err = script("print('first')\nprint('second'\n", site.url, "--user-id", "ada")
    assert (status, out) == (1, "")
    assert 'File "<stdin>", line 2' in err
    assert "SyntaxError" in err


def test_a_script_gives_its_own_exit_status(site: Site, script: Script):
    assert script("import sys\nsys.exit(add(2, 3))", site.url, "--user-id", "ada") == (5, "", "")


def test_names_that_statements_make_at_the_server_are_there_as_well(tmp_path: Path, script: Script):
    text = "remote.do('x = 41')\nprint(x + 1, [x for _ in range(2)])\nremote.do('x = 1')\nprint(x)\n"
    with serving(tmp_path, LENT, remote_exec=True) as site:
        site.call("grant", {"user_id": "ada", "roles": ["admin"]})
        assert script(text, site.url, "--user-id", "ada") == (0, "42 [41, 41]\n1\n", "")


def test_a_session_over_http_serves_as_well(site: Site, script: Script):
    session = site.call("account.login", {"user_id": "ada", "password": PASSWORD})
    words = (site.url, "--session-id", session["session_id"])
    key = session["key"]
    assert script("print(remote.user_id)", *words, TOTOHIO_SESSION_KEY=key) == (0, "ada\n", "")
    status, out, err = script("print(1)", *words, TOTOHIO_SESSION_KEY=key[::-1])
    assert (status, out) == (1, "")
    assert re.fullmatch(rf"totohio: {site.url}: error 1004: .+\n", err)


def test_the_same_goes_over_websockets(site: Site, script: Script):
    host, port = site.server.address[:2]
    assert script("print(add(1, 2))", f"ws://{host}:{port}/lend", "--user-id", "ada") == (0, "3\n", "")
    status, out, err = script("print(1)", f"ws://{host}:{port}/other", "--user-id", "ada")
    assert (status, out) == (1, "")
    assert re.fullmatch(rf"totohio: ws://{host}:{port}/other: [^/]+\n", err)


def test_a_server_with_tls_is_trusted_when_its_authority_is_given(tmp_path: Path, script: Script):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    with serving(tmp_path, LENT, certfile=str(tmp_path / "server.pem"), remote_path="/lend") as site:
        words = (site.url, "--user-id", "ada")
        assert site.url.startswith("totohio+tls://")
        cafile = ("--cafile", str(tmp_path / "authority.pem"))
        assert script("print(add(1, 2))", *words, *cafile) == (0, "3\n", "")
        path = site.server.url.replace("https", "wss") + "/lend"
        assert script("print(add(1, 2))", path, "--user-id", "ada", *cafile) == (0, "3\n", "")
        status, out, err = script("print(1)", *words)
        assert (status, out) == (1, "")
        assert re.fullmatch(rf"totohio: {re.escape(site.url)}: .*certificate.*\n", err)


def test_a_connection_that_is_lost_is_told_in_one_line(tmp_path: Path, script: Script):
    with serving(tmp_path, LENT) as site:
        text = "print(add(1, 2), flush=True)\nremote._carrier._sock.shutdown(2)\nprint(add(1, 2))\n"
        status, out, err = script(text, site.url, "--user-id", "ada")
    assert (status, out) == (1, "3\n")
    assert re.fullmatch(rf"totohio: {site.url}: the connection .+\n", err)


# ---------------------------------------------------------------- no session


def test_a_wrong_password_is_one_line(site: Site, script: Script):
    line = f"totohio: {site.url}: error 1005: Invalid user ID or password\n"
    assert script("print(1)", site.url, "--user-id", "ada", password="wrong") == (1, "", line)
    assert script("print(1)", site.url, "--user-id", "nobody") == (1, "", line)


def test_a_server_that_cannot_be_reached_is_one_line(script: Script):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for url in (f"totohio://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/lend"):
        assert script("print(1)", url, "--user-id", "ada") == (1, "", f"totohio: {url}: Connection refused\n")


def test_a_server_that_speaks_something_else_is_one_line(site: Site, script: Script):
    host, port = site.server.address[:2]
    for url in (f"totohio://{host}:{port}", f"ws://{site.url.removeprefix('totohio://')}/"):
        status, out, err = script("print(1)", url, "--user-id", "ada", "--timeout", "20")
        assert (status, out) == (1, "")
        assert re.fullmatch(rf"totohio: {url}: .+\n", err)


def test_a_server_that_says_nothing_is_given_up(script: Script):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"totohio://127.0.0.1:{mute.getsockname()[1]}"
        line = f"totohio: {url}: no answer within 0.05 seconds\n"
        assert script("print(1)", url, "--user-id", "ada", "--timeout", "0.05") == (1, "", line)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["http://localhost:1", "--user-id", "a"], "'http://localhost:1' is no URL such as totohio://localhost:8890"),
        (["totohio://", "--user-id", "a"], "'totohio://' is no URL such as totohio://localhost:8890"),
        (["totohio://localhost:99999", "--user-id", "a"], "totohio://localhost:99999: Port out of range 0-65535"),
        (
            ["totohio://localhost:x", "--user-id", "a"],
            "totohio://localhost:x: Port could not be cast to integer value as 'x'",
        ),
        (
            ["totohio://localhost"],
            "say who you are, with either --user-id or --session-id (see totohio remote --help)",
        ),
        (
            ["totohio://localhost", "--user-id", "a", "--session-id", "b"],
            "say who you are, with either --user-id or --session-id (see totohio remote --help)",
        ),
        (["totohio+tls://localhost", "--user-id", "a", "--cafile", "none"], "--cafile: No such file or directory"),
        ([], "usage: totohio remote URL (see totohio remote --help)"),
        (["totohio://localhost", "--password", "a"], "--password: no such option of remote"),
    ],
)
def test_a_wrong_command_is_one_line_and_status_2(script: Script, words: list[str], line: str):
    assert script("print(1)", *words) == (2, "", f"totohio: {line}\n")


def test_a_password_is_not_read_from_the_script(site: Site):
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TOTOHIO_")}
    done = subprocess.run(
        [sys.executable, "-m", "totohio", "remote", site.url, "--user-id", "ada"],
        env=environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        input=f"{PASSWORD}\nprint(1)\n",
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
        start_new_session=True,  # so that it has no terminal, whatever the tests have
    )
    line = "totohio: TOTOHIO_PASSWORD is not set, and there is no terminal at which to ask for it\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
