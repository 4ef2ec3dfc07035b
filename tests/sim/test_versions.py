"""The same seed gives the same run on every Python: each leaves its digests here for the others to be compared with."""

import hashlib
import json
import platform
from pathlib import Path

from tests.sim.scenarios import calls, databases, mixture
from totohio.sim import PROFILES, World

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".totohio-sim" / "digests"
SEEDS = 8


def sources() -> str:
    """A name for the sources as they are: runs of other sources are no matter."""
    digest = hashlib.sha256()
    for path in sorted([*(ROOT / "totohio").rglob("*.py"), Path(__file__).with_name("scenarios.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def digests() -> dict[str, str]:
    """The digests of some runs."""
    found = {}
    for faults in PROFILES:
        for seed in range(SEEDS):
            for scenario in (calls, mixture, databases):
                with World(seed, faults=faults) as world:
                    scenario(world)
                    found[f"{scenario.__name__} {faults} {seed}"] = world.trace.digest()
    return found


def test_each_python_runs_the_same_seed_alike() -> None:
    folder = FOLDER / sources()
    folder.mkdir(parents=True, exist_ok=True)
    mine = digests()
    assert len(set(mine.values())) > len(mine) / 2
    others = sorted(folder.glob("*.json"))
    for path in others:
        theirs = json.loads(path.read_text())
        parted = [name for name in mine if theirs.get(name) != mine[name]]
        assert not parted, f"CPython {path.stem} and {platform.python_version()} part in: {', '.join(parted[:5])}"
    made = folder / f"{platform.python_version()}.new"
    made.write_text(json.dumps(mine, indent=1))
    made.rename(made.with_suffix(".json"))  # whole, for others may read it just now
