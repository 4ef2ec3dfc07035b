"""Sessions that two processes share."""

import pytest

from tests.core.pairing import DAY, Pair


@pytest.fixture(params=[True, False], ids=["local", "remote"])
def local(request: pytest.FixtureRequest) -> bool:
    """Records are read at once, or asked for."""
    return bool(request.param)


@pytest.fixture
def pair(local: bool) -> Pair:
    """Two processes that have a session."""
    return Pair(local, anon_ttl=DAY, granularity=60.0)
