"""A server that hostile peers come to: nothing of theirs is left afterwards, and others are served beside them."""

from collections.abc import Iterator

from tests.remote.support import Site
from totohio.remote import Remote


def cleared(site: Site) -> Iterator[Site]:
    """Give a server to a test, and wait until it has no session any more, and nothing that is left of one."""
    yield site
    house = site.house

    def empty() -> bool:
        waits = (house.waits, house.leases, house.greetings, house.executions)
        left = house.sessions or any(each.dues for each in waits) or house.lot.runs
        return not left and not postponed(site) and not len(house._pool)

    site.until(empty, "nothing is left")


def postponed(site: Site) -> int:
    """How many connections go on in the next cycle with what has come; for `within`."""
    lending = site.server.built.lending
    assert lending is not None
    servers = {lending.server, site.server.built.server}
    return sum(len(server._resumes) for server in servers)


def beside(site: Site) -> Iterator[Remote]:
    """Give somebody else, who gets answers before and after, and keeps what it has borrowed."""
    with site.connect("grace") as remote:
        cat = remote.Cat("mia")
        yield remote
        assert remote.add(1, 2) == 3
        assert cat.greet() == "mia greets you"
