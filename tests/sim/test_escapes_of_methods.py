"""A method that reaches for the real world fails the run, which names its file and line."""

from pathlib import Path
from typing import Any

import pytest

from totohio.sim import Client, EscapeError, World
from totohio.sim.worlding import Script

ESCAPES = {
    "time.time": "import time\ndef invoke(handler, parameters):\n    return time.time()\n",
    "os.urandom": "import os\ndef invoke(handler, parameters):\n    return os.urandom(4).hex()\n",
    "random.random": "import random\ndef invoke(handler, parameters):\n    return random.random()\n",
    "socket.socket": "import socket\ndef invoke(handler, parameters):\n    socket.socket().close()\n",
    "threading.Thread.start": (
        "import threading\ndef invoke(handler, parameters):\n    threading.Thread(target=print).start()\n"
    ),
}


def project(folder: Path, source: str) -> Path:
    """Lay out a package with one method, and give its configuration file."""
    package = folder / "reaching"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "reach.py").write_text(source)
    (folder / "settings.yaml").write_text("method_module: reaching\n")
    return folder / "settings.yaml"


@pytest.mark.expects_errors  # the server takes it for a fault of the method, and logs it
@pytest.mark.parametrize("what", ESCAPES)
def test_each_escape_is_named_with_file_and_line(tmp_path: Path, what: str) -> None:
    settings = project(tmp_path, ESCAPES[what])
    with World(faults="still") as world:
        server = world.server(settings)
        with pytest.raises(EscapeError) as caught:
            world.call(server, "reach")
    error = caught.value
    assert (error.what, error.file, error.line) == (what, str(tmp_path / "reaching" / "reach.py"), 3)
    assert f"{what}() was called under simulation at " in str(error)
    assert "reaching/reach.py:3 in invoke" in str(error)


@pytest.mark.expects_errors
def test_an_escape_in_a_worker_thread_is_found(tmp_path: Path) -> None:
    source = (
        "import time\n"
        "from totohio import TaskQueue\n"
        "def work():\n"
        "    return time.time()\n"
        "def invoke(handler, parameters):\n"
        "    return (yield TaskQueue.instance('q').yield_task(work))\n"
    )
    with World(faults="still") as world:
        server = world.server(project(tmp_path, source))
        with pytest.raises(EscapeError, match=r"time\.time\(\) .*reaching/reach\.py:4 in work"):
            world.call(server, "reach")


def test_an_escape_that_the_method_swallows_is_found(tmp_path: Path) -> None:
    source = (
        "import time\n"
        "def invoke(handler, parameters):\n"
        "    try:\n"
        "        return time.time()\n"
        "    except BaseException:\n"
        "        return 0\n"
    )
    with World(faults="still") as world:
        server = world.server(project(tmp_path, source))
        with pytest.raises(EscapeError, match=r"reach\.py:4"):
            world.call(server, "reach")


def test_an_escape_in_a_script_is_found() -> None:
    import random

    def script(client: Client) -> Script:
        yield client.call("echo", {"number": random.randrange(10)})

    with World(faults="still") as world:
        server = world.server(methods={"echo": lambda handler, parameters: parameters})
        client = world.client(server)
        world.spawn(script(client), on=client)
        with pytest.raises(EscapeError, match=r"random\.randrange\(\) .* tests/sim/test_escapes_of_methods\.py"):
            world.run()


def test_what_is_allowed_is_no_escape(tmp_path: Path) -> None:
    settings = project(tmp_path, ESCAPES["time.time"])
    with World(faults="still", allow={"time.time"}) as world:
        assert world.call(world.server(settings), "reach") > 1e9


def test_what_a_method_should_use_is_there(tmp_path: Path) -> None:
    source = (
        "def invoke(handler, parameters):\n"
        "    environment = handler.environment\n"
        "    return environment.clock.now(), environment.minter.token()\n"
    )

    def run(seed: int) -> Any:
        with World(seed, faults="still", epoch=5.0) as world:
            return world.call(world.server(settings), "reach")

    settings = project(tmp_path, source)
    assert run(1) == run(1)
    assert run(1)[0] == 5.0
    assert run(1)[1] != run(2)[1]
