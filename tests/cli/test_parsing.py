"""What is typed: options, words, mistakes."""

import pytest

import totohio
from totohio.app.settings import OPTIONS
from totohio.cli import commands, main
from totohio.cli.parsing import Order, UsageError, parse


def order(line: str) -> Order:
    return parse(line.split(), commands())


def test_options_take_their_value_with_and_without_an_equals_sign_and_words_stand_anywhere():
    for line in (
        "serve a.yaml --port 80 --max-headers=5",
        "serve --port=80 a.yaml --max_headers 5",
        "serve --max-headers 5 --port 80 a.yaml",
    ):
        found = order(line)
        assert found.command.name == "serve"
        assert found.words == ["a.yaml"]
        assert found.settings == {"port": "80", "max_headers": "5"}


@pytest.mark.parametrize("id", ["-aB_c", "--aB_c", "-", "-5", "--session_id", "-_=x"])
def test_a_value_may_begin_with_a_hyphen_as_one_of_64_session_ids_does(id: str) -> None:
    found = order(f"call book.find --session {id} --json -")
    assert found.own.session == id
    assert found.own.json == "-"
    assert found.words == ["book.find"]


@pytest.mark.parametrize("line", ["call x --session --json -", "call x --session", "call x --session -- -a"])
def test_a_value_that_is_missing_is_missed(line: str) -> None:
    with pytest.raises(UsageError, match="--session: expected one argument"):
        order(line)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--debug", True),
        ("--no-debug", False),
        ("--debug=no", False),
        ("--debug=TRUE", True),
        ("--msgpack_enabled=1", True),
    ],
)
def test_booleans_have_two_flags_and_take_words(flag: str, value: bool):
    assert list(order(f"serve {flag}").settings.values()) == [value]


def test_options_that_are_not_given_do_not_count():
    assert order("serve").settings == {}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("serve --prot 80", "--prot: no such option; did you mean --port?"),
        ("serve --debgu", "--debgu: no such option; did you mean --debug?"),
        ("serve --por 80", "--por: no such option; did you mean --port?"),
        ("call m --ulr=http://x", "--ulr: no such option; did you mean --url?"),
        ("new name --zzzzzz", "--zzzzzz: no such option of new"),
        ("serve -p 80", "-p: no such option (see totohio serve --help)"),
        ("serve --port", "argument --port: expected one argument (see totohio serve --help)"),
        ("serve --debug=maybe", 'debug: expected true or false, got "maybe" (from --debug)'),
        ("serve a.yaml b.yaml", "usage: totohio serve [CONF] (see totohio serve --help)"),
        ("call", "usage: totohio call METHOD [KEY=VALUE ...] (see totohio call --help)"),
        ("new", "usage: totohio new NAME (see totohio new --help)"),
        ("", "the following arguments are required: COMMAND (see totohio --help)"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(line: str, text: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(UsageError) as caught:
        order(line)
    assert str(caught.value) == text
    assert main(line.split()) == 2
    assert capsys.readouterr() == ("", f"totohio: {text}\n")


def test_an_unknown_command_lists_those_that_exist(capsys: pytest.CaptureFixture[str]):
    assert main(["sevre"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "serve" in error


def test_a_wrong_value_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]):
    assert main(["settings", "--port", "abc"]) == 2
    assert capsys.readouterr().err == 'totohio: port: expected a number from 0 to 65535, got "abc" (from --port)\n'


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"totohio {totohio.__version__}\n"


def test_help_explains_every_command_and_every_option(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "1000")
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    for command in commands():
        assert command.name in overview
        assert command.doc.splitlines()[0] in overview
        assert main([command.name, "--help"]) == 0
        page = capsys.readouterr().out
        assert f"usage: totohio {command.name} {command.words} [options]" in page
        assert command.doc in page
        for row in OPTIONS.values():
            assert (f"{row.flag} " in page or f"{row.flag}, " in page) or not command.configurable
            assert (row.doc in page) is command.configurable
