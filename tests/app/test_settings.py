"""The table of options: what comes from it is complete and tells the truth."""

import dataclasses

import pytest

from totohio.app.configuring import load
from totohio.app.options import Option
from totohio.app.settings import OPTIONS, Settings, groups, reference

# Options that people know from Toto, with the values that it gives them.
OF_TOTO = {
    "host": "127.0.0.1",
    "port": 8888,
    "root": "/",
    "method_module": "methods",
    "method_select": "both",
    "allow_origin": "*",
    "msgpack_enabled": False,
    "bson_enabled": False,
    "debug": False,
    "startup_function": None,
    "processes": 1,
    "autoreload": False,
    "session_ttl": 31536000,
    "anon_session_ttl": 86400,
    "session_renew": 0,
    "anon_session_renew": 0,
    "hmac_enabled": False,
    "use_cookies": False,
    "event_mode": "off",
}


def test_the_options_of_toto_keep_their_names_and_defaults():
    settings = load(environ={})
    assert {name: getattr(settings, name) for name in OF_TOTO} == OF_TOTO


def test_settings_cannot_be_changed_after_they_were_loaded():
    settings = load(environ={})
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.port = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.sources["port"] = "elsewhere"  # type: ignore[index]


@pytest.mark.parametrize("row", OPTIONS.values(), ids=list(OPTIONS))
def test_every_default_is_a_value_that_the_option_takes(row: Option):
    assert getattr(load(arguments={row.name: row.default}, environ={}), row.name) == row.default


@pytest.mark.parametrize("row", OPTIONS.values(), ids=list(OPTIONS))
def test_every_option_is_explained_in_a_sentence_and_in_the_reference(row: Option):
    assert row.doc.endswith(".")
    assert row.doc[0].isupper()
    page = reference()
    assert f"### `{row.name}`" in page
    assert row.doc in page
    assert f"`{row.variable}`" in page
    assert f"`{row.flag}" in page


def test_the_reference_says_what_a_value_is_and_what_holds_without_one():
    page = reference()
    assert "- Takes a number from 0 to 65535.\n- Default: `8888`." in page
    assert "- Takes a number of seconds from 0 to 1000000.\n- Default: `30`." in page
    assert "Command line: `--debug`, `--no-debug`." in page
    assert "- Takes the path of a file, or nothing.\n- Default: `null`." in page


def test_all_options_are_in_a_group():
    rows = [row for rows in groups().values() for row in rows]
    assert len(rows) == len(OPTIONS)
    assert {row.name for row in rows} == set(OPTIONS)
    assert all(groups().values())


def test_a_secret_is_never_shown():
    secret = dataclasses.replace(OPTIONS["root"], secret=True)
    assert "hunter2" not in secret.shown("hunter2")


def test_settings_have_no_attribute_that_is_not_in_the_table():
    names = {field.name for field in dataclasses.fields(Settings)}
    assert names - set(OPTIONS) == {"folder", "sources"}
