"""Loading settings: who wins over whom, and what errors say."""

import importlib.util
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from totohio.app.configuring import load, module_path
from totohio.app.settings import OPTIONS
from totohio.base.errors import SettingsError

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a configuration file."""

    def write(text: str) -> Path:
        path = tmp_path / "settings.yaml"
        path.write_text(text, "utf-8")
        return path

    return write


def failure(conf_file: Path | None = None, **layers: Any) -> str:
    """Give the text of the error that loading ends with."""
    with pytest.raises(SettingsError) as caught:
        load(conf_file, **{"environ": {}} | layers)
    text = str(caught.value)
    assert "\n" not in text
    return text


# ---------------------------------------------------------------- who wins


def test_a_later_layer_wins_over_those_before_it_and_the_source_tells_which(write: Write):
    conf = write("port: 3\n")
    layers: dict[str, Any] = {"environ": {}}
    assert (load(**layers).port, load(**layers).sources["port"]) == (8888, "default")
    for change, port, source in (
        ({"arguments": {"port": 2}}, 2, "argument"),
        ({"conf_file": conf}, 3, "settings.yaml"),
        ({"environ": {"TOTOHIO_PORT": "4"}}, 4, "TOTOHIO_PORT"),
        ({"options": {"port": "5"}}, 5, "--port"),
    ):
        layers |= change
        settings = load(**layers)
        assert (settings.port, settings.sources["port"]) == (port, source)


def test_the_environment_of_the_process_counts_unless_another_is_given(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOTOHIO_MAX_HEADERS", "7")
    assert load().max_headers == 7
    assert load(environ={}).max_headers == 100


def test_a_wrong_value_is_found_even_where_another_layer_hides_it(write: Write):
    text = failure(write("port: abc\n"), options={"port": "1"})
    assert text == 'port: expected a number from 0 to 65535, got "abc" (from settings.yaml)'


def test_the_folder_of_the_configuration_file_is_known_and_on_the_module_path(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(os.sep)
    settings = load(write(""), environ={})
    assert settings.folder == str(tmp_path)
    assert module_path(settings) == [os.sep, str(tmp_path)]
    assert module_path(load(environ={})) == [os.sep]
    monkeypatch.chdir(tmp_path)
    assert module_path(load("settings.yaml", environ={})) == [str(tmp_path)]


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("1", True),
        ("YES", True),
        ("on", True),
        ("false", False),
        ("0", False),
        ("No", False),
        ("off", False),
    ],
)
def test_words_for_yes_and_no_in_the_environment(text: str, value: bool):
    assert load(environ={"TOTOHIO_DEBUG": text}).debug is value


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("port", " 80 ", 80),
        ("port", "0", 0),
        ("idle_timeout", "1.5", 1.5),
        ("idle_timeout", "2", 2.0),
        ("idle_timeout", "1e2", 100.0),
        ("max_body_size", "0", 0),
        ("uds", "", None),
        ("host", "", ""),
        ("log_format", "json", "json"),
    ],
)
def test_text_from_the_environment_becomes_a_value_of_the_options_type(name: str, text: str, value: Any):
    found = getattr(load(environ={OPTIONS[name].variable: text}), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("port", -1, "expected a number from 0 to 65535, got -1"),
        ("port", 65536, "expected a number from 0 to 65535, got 65536"),
        ("port", "8080", 'expected a number from 0 to 65535, got "8080"'),
        ("port", True, "expected a number from 0 to 65535, got true"),
        ("port", None, "expected a number from 0 to 65535, got nothing"),
        ("port", 80.5, "expected a whole number from 0 to 65535, got 80.5"),
        ("idle_timeout", math.nan, "expected a number of seconds from 0 to 1000000, got nan"),
        ("debug", 1, "expected true or false, got 1"),
        ("debug", "yes", 'expected true or false, got "yes"'),
        ("host", 127, "expected a text without control characters, got 127"),
        (
            "allow_origin",
            "*\r\nX: y",
            'expected "*", "null" or an origin in ASCII such as https://example.org, got "*\\r\\nX: y"',
        ),
        (
            "allow_origin",
            "https://例え.jp",
            'expected "*", "null" or an origin in ASCII such as https://example.org, got "https://例え.jp"',
        ),
        ("root", "api", 'expected a path that begins with "/", got "api"'),
        ("method_module", "my-methods", 'expected the dotted name of a module, got "my-methods"'),
        ("startup_function", "start", 'expected a function as module.function, got "start"'),
        ("log_level", "loud", 'expected one of debug, info, warning, error, critical, got "loud"'),
        ("log_level", ["info"], "expected one of debug, info, warning, error, critical, got a list"),
        ("processes", 0, "expected at least 1, or -1, got 0"),
    ],
)
def test_an_error_says_what_was_expected_what_came_and_where_from(name: str, value: Any, expected: str):
    assert failure(arguments={name: value}) == f"{name}: {expected} (from argument)"


def test_an_error_repeats_only_the_beginning_of_a_long_value():
    assert len(failure(arguments={"log_level": "x" * 100_000})) < 250


def test_paths_may_be_path_objects(tmp_path: Path):
    assert load(arguments={"uds": tmp_path / "socket"}, environ={}).uds == str(tmp_path / "socket")


@given(st.sampled_from(sorted(OPTIONS)), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_in_the_environment_gives_settings_or_a_settings_error(name: str, text: str):
    errors = []
    try:
        load(environ={OPTIONS[name].variable: text})
    except SettingsError as error:
        errors.append(str(error))
    assert all(error.isprintable() and f"(from {OPTIONS[name].variable})" in error for error in errors)


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ({"arguments": {"prot": 1}}, "prot: no such option; did you mean port?"),
        ({"arguments": {"max-body-size": 1}}, "max-body-size: no such option; did you mean max_body_size?"),
        ({"arguments": {"mehtod_module": "m"}}, "mehtod_module: no such option; did you mean method_module?"),
        ({"arguments": {"zzz": 1}}, "zzz: no such option"),
        (
            {"environ": {"TOTOHIO_PROT": "1"}},
            "TOTOHIO_PROT: no such option (from environment); did you mean TOTOHIO_PORT?",
        ),
        ({"options": {"max_bodysize": "1"}}, "--max-bodysize: no such option; did you mean --max-body-size?"),
    ],
)
def test_an_unknown_option_is_an_error_that_suggests_the_nearest_name(layers: dict[str, Any], expected: str):
    assert failure(**layers) == expected


def test_variables_of_others_are_left_alone():
    assert load(environ={"PORT": "1", "TOTO_PORT": "2", "totohio_port": "3"}).port == 8888


# ---------------------------------------------------------------- the file


def test_an_empty_file_changes_nothing(write: Write):
    assert load(write("# nothing\n"), environ={}).port == 8888


def test_what_yaml_makes_of_off_and_null_is_understood_where_they_are_words(write: Write):
    settings = load(write("event_mode: off\ndatabase:\nuds:\n"), environ={})
    assert (settings.event_mode, settings.database, settings.uds) == ("off", "none", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("port: 1\n\nprot: 2\n", "prot: no such option (from settings.yaml, line 3); did you mean port?"),
        ("port: 1\ndebug: true\nport: 2\n", "port: given twice (from settings.yaml, line 3)"),
        ("- port\n", "settings.yaml, line 1: expected lines of the form name: value"),
        ("just words\n", "settings.yaml, line 1: expected lines of the form name: value"),
        ("port: [1\n", "settings.yaml, line 2: expected ',' or ']', but got '<stream end>'"),
        ("port: 1\n\tdebug: true\n", "settings.yaml, line 2: found character '\\t' that cannot start any token"),
        (
            "port: !!python/object:os.system {}\n",
            "settings.yaml, line 1: could not determine a constructor for the tag",
        ),
        ("port: {tcp: 1}\n", "port: expected a number from 0 to 65535, got a mapping (from settings.yaml)"),
        ("host: 2026-99-99\n", "settings.yaml: month must be in 1..12"),
        ("? [port]\n: 1\n", "?: no such option (from settings.yaml, line 1)"),
        (
            "port: 1\n---\nport: 2\n",
            "settings.yaml, line 2: expected a single document in the stream but found another document",
        ),
        ("port: \x07\n", "settings.yaml: special characters are not allowed"),
        ("port: " + "[" * 10_000, "settings.yaml: maximum recursion depth exceeded"),
    ],
)
def test_a_file_that_is_not_right_is_an_error_with_its_line(write: Write, text: str, expected: str):
    assert failure(write(text)).startswith(expected)


def test_a_file_that_is_not_there_or_not_text_is_an_error_with_its_name(tmp_path: Path):
    missing, binary = tmp_path / "missing.yaml", tmp_path / "binary.yaml"
    binary.write_bytes(b"port: \xff\n")
    assert failure(missing) == f"{missing}: No such file or directory"
    assert failure(tmp_path) == f"{tmp_path}: Is a directory"
    assert failure(binary) == "binary.yaml: not UTF-8 at byte 6"


# ---------------------------------------------------------------- values that depend on each other


def test_a_key_needs_a_certificate():
    assert failure(arguments={"keyfile": "key.pem"}) == "keyfile: needs certfile (from argument)"
    assert failure(options={"cafile": "ca.pem"}) == "cafile: needs certfile (from --cafile)"
    assert load(arguments={"certfile": "both.pem"}, environ={}).certfile == "both.pem"


def test_a_socket_and_a_port_exclude_each_other_and_the_later_layer_wins(write: Write):
    conf = write("uds: /run/toto.socket\n")
    assert load(conf, arguments={"port": 1}, environ={}).uds == "/run/toto.socket"
    assert load(conf, environ={}, options={"port": "1"}).uds is None
    text = failure(write("uds: /run/toto.socket\nport: 1\n"))
    assert text == "uds: it excludes port, the server listens on one of them (from settings.yaml)"


@pytest.mark.parametrize(("name", "package"), [("msgpack_enabled", "msgpack"), ("bson_enabled", "totohio[bson]")])
def test_a_format_without_its_package_is_an_error_that_says_what_to_install(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    assert f"pip install '{package}' (from argument)" in failure(arguments={name: True})
    assert getattr(load(arguments={name: False}, environ={}), name) is False


def test_what_is_asked_of_simulated_tests_is_no_option():
    assert load(environ={"TOTOHIO_SIM_SEEDS": "5", "TOTOHIO_PORT": "4"}).port == 4
