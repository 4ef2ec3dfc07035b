"""Where a client is, behind proxies that are trusted to say so."""

import ipaddress
from typing import Any

from totohio.base.errors import SettingsError
from totohio.wire.requesting import Request

HOPS = 20  # proxies that a request may have come through


class Locator:
    """Tells the address of a client: the peer's, or what proxies that are trusted say of it (X-Forwarded-For).

    Each proxy appends the address that it was reached from, so the list is read from its end, as long as the one who
    speaks is trusted. Whatever a client writes there itself stands before that and is never reached.
    """

    def __init__(self, proxies: list[str]) -> None:
        """Set it up.

        Raises:
            SettingsError: One of them is neither an address nor a network.
        """
        try:
            self._networks = [ipaddress.ip_network(proxy, strict=False) for proxy in proxies]
        except ValueError as error:
            raise SettingsError(f"trusted_proxies: {error}") from None

    def address(self, request: Request) -> str:
        """Give the address of the client as text; "" where there is none (a Unix socket without a proxy's word)."""
        address = request.remote_ip
        if not self._networks:
            return address
        given = request.fields.get(b"x-forwarded-for", b"").decode("latin-1")
        for part in reversed(given.split(",")[-HOPS:]):
            if not self._trusted(address):
                return address
            parsed = _parsed(part.strip())
            if parsed is None:
                return address
            address = str(parsed)
        return address

    def _trusted(self, address: str) -> bool:
        if not address:
            return True  # a Unix socket: whoever may open it is a proxy of ours
        parsed = _parsed(address)
        if parsed is None:
            return False
        return any(parsed in network for network in self._networks if network.version == parsed.version)


def _parsed(text: str) -> Any:
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if parsed.version == 6 else parsed
