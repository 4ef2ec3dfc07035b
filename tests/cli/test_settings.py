"""``totohio settings`` shows what holds and where it came from."""

from pathlib import Path

import pytest

from totohio.app.configuring import load
from totohio.app.settings import OPTIONS
from totohio.cli import main


def show(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["settings", *arguments]) == 0
    return capsys.readouterr().out


def test_every_value_stands_beside_its_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    conf = tmp_path / "my.yaml"
    conf.write_text("root: /api\nport: 1\n")
    monkeypatch.setenv("TOTOHIO_DEBUG", "yes")
    lines = dict(line.split("  # ") for line in show(capsys, str(conf), "--port", "2").splitlines() if "  # " in line)
    sources = {text.strip(): source for text, source in lines.items()}
    assert len(sources) == len(OPTIONS)
    assert sources['root: "/api"'] == "my.yaml"
    assert sources["port: 2"] == "--port"
    assert sources["debug: true"] == "TOTOHIO_DEBUG"
    assert sources["uds: null"] == "default"
    assert sources["idle_timeout: 75"] == "default"


def test_what_is_shown_is_a_configuration_file_with_the_same_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    shown = show(capsys, "--uds", '/run/"my" socket', "--idle-timeout", "0.5", "--allow-origin", "https://x.example")
    conf = tmp_path / "shown.yaml"
    conf.write_text(shown, "utf-8")
    settings = load(conf, environ={})
    assert (settings.uds, settings.idle_timeout, settings.allow_origin) == (
        '/run/"my" socket',
        0.5,
        "https://x.example",
    )


def test_a_missing_file_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]):
    assert main(["settings", "nowhere.yaml"]) == 2
    assert capsys.readouterr() == ("", "totohio: nowhere.yaml: No such file or directory\n")
