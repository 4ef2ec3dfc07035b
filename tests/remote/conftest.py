"""A server that lends, and a session with it, for tests of clients over real sockets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

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


@pytest.fixture
def tls(tmp_path: Path) -> Any:
    """The options of a server with a certificate, and those of a client that trusts it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    return {"certfile": str(tmp_path / "server.pem")}, {"cafile": str(tmp_path / "ca.pem")}
