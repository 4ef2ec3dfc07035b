"""The exchanges recorded from the original Toto framework, replayed against a server of ours."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ORACLE = Path(__file__).parents[2] / "shared" / "oracle"


def test_recorded_exchanges_are_answered_as_the_original_did() -> None:
    if not ORACLE.is_dir():
        pytest.skip(f"the recorded exchanges are not at {ORACLE}")
    command = [sys.executable, "replay.py", "--python", sys.executable, "transcripts.json"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # twice as fast
    replay = subprocess.run(command, cwd=ORACLE, env=environ, capture_output=True, text=True, check=False)
    assert replay.returncode == 0, replay.stdout + replay.stderr
    assert " 0 failed, 0 skipped of " in replay.stdout, replay.stdout
