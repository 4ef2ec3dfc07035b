"""A server that lends, and a session with it, for tests of clients over real sockets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.remote.support import Site, serving
from totohio.remote import Remote


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server of the test's own."""
    with serving(tmp_path) as site:
        yield site


@pytest.fixture
def remote(site: Site) -> Iterator[Remote]:
    """A session that no other test has."""
    with site.connect() as remote:
        yield remote
    site.until(lambda: not site.house.sessions, "all sessions are gone")


@pytest.fixture(scope="module")
def bookshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server for a whole module that lends what is in lent_books.py; grace may have statements carried out."""
    lent = Path(__file__).with_name("lent_books.py").read_text("utf-8")
    folder = tmp_path_factory.mktemp("books")
    with serving(folder, lent, users=("ada", "grace"), remote_exec=True, remote_path="/lend") as site:
        site.call("grant", {"user_id": "grace", "roles": ["admin"]})
        yield site
