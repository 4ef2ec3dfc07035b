"""Attempts to log in that fail, counted in the store, where all processes see it.

An attempt is counted before the password is looked at, and taken back when it was right: so attempts over parallel
connections, or in one batch, count each other.
"""

import hashlib
import ipaddress

import msgspec

from totohio.base.clocking import Clock, Minter
from totohio.base.futures import Future
from totohio.core.committing import Unit, unchanged
from totohio.core.limiting import ACCOUNT, ADDRESS, PAIR, Bucket, Rule, failed, left, lifetime, taken_back, too_many
from totohio.core.ports import VERSION, Transaction, Write

NETWORK = 64  # bits of an IPv6 address that count: whoever has one has as many as these leave

_decode = msgspec.msgpack.Decoder(Bucket).decode
_encode = msgspec.msgpack.Encoder().encode


def place(address: str) -> str:
    """Give what counts of an address: all of IPv4, however it is written, the first 64 bits of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped is not None:  # as a socket for both kinds shows it
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed) >> NETWORK << NETWORK, NETWORK)))


class LoginThrottle:
    """Counts attempts to log in: by account and address, by address, and by account where the address is a new one."""

    def __init__(self, *, clock: Clock, minter: Minter) -> None:
        self._clock = clock
        self._minter = minter

    def reserve(self, unit: Unit, user_id: str, address: str, known: bool) -> Future[bool]:
        """Count an attempt before it is made; what it gives is to be waited for before anything comes of the attempt.

        Args:
            unit: Whose request it is.
            user_id: Whose account.
            address: From where; "" when that is not known, which counts no address.
            known: The user has logged in from there before.

        Raises:
            TotoException: 1013, there were too many; with ``retry_after`` in seconds.
        """
        rules = self._rules(user_id, address, known)
        now = self._clock.now()
        keys = [key for key, _ in rules]

        def build(values: list[bytes | None]) -> Transaction:
            buckets = [_bucket(value) for value in values]
            wait = max(left(bucket, rule, now) for bucket, (_, rule) in zip(buckets, rules, strict=True))
            if wait > 0.0:
                raise too_many(wait)
            after = [failed(bucket, rule, now) for bucket, (_, rule) in zip(buckets, rules, strict=True)]
            return self._transaction(rules, values, after, now)

        ticket = unit.queue(build(unit.load(keys)), build)
        unit.tickets.append((ticket, True))
        return ticket

    def succeeded(self, unit: Unit, user_id: str, address: str, whole: bool) -> None:
        """Take the attempt back; forget the others of this account from this address, too, after a whole one.

        Args:
            unit: Whose request it is.
            user_id: Whose account.
            address: From where.
            whole: All was shown that the account asks for, the second factor included.
        """
        rules = self._rules(user_id, address, False)
        now = self._clock.now()

        def build(values: list[bytes | None]) -> Transaction:
            after = [
                Bucket() if rule is PAIR and whole else taken_back(_bucket(value), rule, now)
                for value, (_, rule) in zip(values, rules, strict=True)
            ]
            return self._transaction(rules, values, after, now)

        ticket = unit.queue(build(unit.load([key for key, _ in rules])), build)
        unit.tickets.append((ticket, False))

    def _rules(self, user_id: str, address: str, known: bool) -> list[tuple[bytes, Rule]]:
        where = place(address)
        rules = [(_key("pair", user_id, where), PAIR)]
        if where:
            rules.append((_key("address", where), ADDRESS))
        if not known:
            rules.append((_key("account", user_id), ACCOUNT))
        return rules

    def _transaction(
        self, rules: list[tuple[bytes, Rule]], values: list[bytes | None], after: list[Bucket], now: float
    ) -> Transaction:
        writes = []
        for (key, rule), value, bucket in zip(rules, values, after, strict=True):
            if bucket.failures > 0.0:
                expires = now + lifetime(rule, bucket)
                writes.append(Write(key, self._minter.draw(VERSION) + _encode(bucket), expires))
            elif value is not None:
                writes.append(Write(key, None))
        return Transaction(unchanged([key for key, _ in rules], values), tuple(writes), lazy=True)


def _bucket(value: bytes | None) -> Bucket:
    return Bucket() if value is None else _decode(memoryview(value)[VERSION:])


def _key(*parts: str) -> bytes:
    return b"t" + hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
