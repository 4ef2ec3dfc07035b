"""From settings to buses: how events travel, chosen here and nowhere else."""

from typing import Any

from totohio.base.environing import Environment
from totohio.bus.memory import MemoryBus
from totohio.core.ports import Bus


def make(settings: Any, environment: Environment) -> Bus:
    """Give the bus that the settings name; it is opened by whoever uses it."""
    return MemoryBus(environment.minter)
