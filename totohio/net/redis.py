"""Clients of Redis servers, by URL: one server, those that sentinels name, or a cluster."""

from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

SENTINEL_PORT = 26379
LOST = (redis.ConnectionError, redis.TimeoutError)  # the answer, or the question


class LazyCluster:
    """A client of a cluster that asks for its nodes when it is first used, since that may fail."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self._url = url
        self._options = options
        self._client: Any = None

    def ready(self) -> Any:
        """Give the client."""
        if self._client is None:
            self._client = redis.RedisCluster.from_url(self._url, **self._options)
        return self._client

    def close(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def client(url: str, timeout: float) -> Any:
    """Give the client of a URL; nothing is connected yet.

    Args:
        url: As `store.redis.RedisDriver` has it.
        timeout: Seconds that connecting and each answer may take.

    Returns:
        A ``redis.Redis``, or the `LazyCluster` of one.

    Raises:
        ValueError: The URL is none.
    """
    try:
        return _client(url, timeout)
    except (redis.RedisError, ValueError, TypeError) as error:
        raise ValueError(str(error)) from None


def shown(url: str) -> str:
    """Give a URL without its secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _client(url: str, timeout: float) -> Any:
    options: dict[str, Any] = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if scheme not in ("redis", "rediss", "unix") or kind not in ("", "sentinel", "cluster"):
        raise ValueError(f"{parts.scheme}:// is no URL of Redis")
    plain = urlunsplit(parts._replace(scheme=scheme))
    retry = Retry(NoBackoff(), 0)  # the driver does that itself, and so knows what was asked for twice
    if kind == "cluster":
        return LazyCluster(plain, options)
    if kind == "sentinel":
        return _sentinel(plain, options)
    return redis.Redis.from_url(plain, retry=retry, **options)


def _sentinel(url: str, options: dict[str, Any]) -> Any:
    """Give a client of the server that sentinels name as the first of a service."""
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    service, _, db = parts.path.strip("/").partition("/")
    if not service or not hosts:
        raise ValueError("redis+sentinel:// needs hosts and the name of a service")
    # redis-py reads the options of the query for us.
    parsed = _parse_url(urlunsplit((parts.scheme, "host", "", parts.query, "")))
    for name in ("host", "connection_class"):
        parsed.pop(name, None)
    if parts.scheme == "rediss":
        parsed["ssl"] = True
    user, _, password = credentials.rpartition(":")
    addresses = []
    for host in hosts.split(","):
        address = urlsplit(f"//{host}")
        addresses.append((address.hostname or "", address.port or SENTINEL_PORT))
    sentinel: Any = _Sentinel(addresses, sentinel_kwargs=dict(options), **parsed, **options)
    return sentinel.master_for(
        service,
        db=int(db or 0),
        username=unquote(user) or None,
        password=unquote(password) or None,
        retry=Retry(NoBackoff(), 0),
    )


_parse_url: Any = redis.connection.parse_url
_Sentinel: Any = Sentinel
