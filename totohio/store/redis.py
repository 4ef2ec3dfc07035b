"""Records in a Redis server, which many machines share.

All that a group writes is one pipeline of calls of one script, which Redis runs one at a time.

How durable an acknowledged write is, is a matter of that server's settings: with ``appendfsync always`` it survives
what the disk survives; with the usual ``everysec`` a failing machine loses the last second; when a replica takes over,
what had not reached it is lost, unless ``redis_replicas`` has each write wait for it.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from totohio.core.ports import VERSION, StoreError, Transaction
from totohio.net.redis import LOST, LazyCluster, client, shown
from totohio.store.driving import outcome

SLACK = 60.0  # seconds for which the server keeps what has expired, since its clock may differ

SCRIPT = f"""
local c, w = tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 1, c do
  if redis.call('GETRANGE', KEYS[i], 0, {VERSION - 1}) ~= ARGV[2 + i] then
    local value = w > 0 and ARGV[3 + c] or ''
    if value ~= '' and redis.call('GETRANGE', KEYS[c + 1], 0, {VERSION - 1}) == string.sub(value, 1, {VERSION}) then
      return 1
    end
    return 0
  end
end
for i = 1, w do
  local key, value, expires = KEYS[c + i], ARGV[1 + c + 2 * i], ARGV[2 + c + 2 * i]
  if value == '' then
    redis.call('DEL', key)
  else
    redis.call('SET', key, value)
    if expires ~= '0' then redis.call('PEXPIREAT', key, expires) end
  end
end
return 1
"""
"""A transaction: KEYS are those of the conditions and then of the writes; ARGV how many there are of each, the versions
of the conditions ('' for a record that must not be there), and of each write the value ('' removes) and when it expires
(Unix milliseconds, '0' never). It gives 1 when the conditions held, or when it has been applied before."""


class RedisDriver:
    """Speaks to Redis with redis-py.

    Attributes:
        raw: The client: a ``redis.Redis`` or ``redis.RedisCluster``.
    """

    def __init__(self, url: str, *, prefix: str = "totohio", timeout: float = 2.0, replicas: int = 0) -> None:
        """Set it up; nothing is connected yet.

        Args:
            url: ``redis://[[user:]password@]host[:port][/db]``, ``rediss://`` for TLS, ``unix://path?db=0``;
                ``redis+sentinel://[[user:]password@]host[:port][,host...]/service[/db]``;
                ``redis+cluster://[[user:]password@]host[:port]``; the last two with ``rediss+`` for TLS. Options of
                redis-py may follow as a query, ``?ssl_ca_certs=...`` for instance.
            prefix: What all keys begin with, in braces, so that a cluster keeps them together.
            timeout: Seconds that connecting and each answer may take.
            replicas: How many replicas must have a write before it counts as done.

        Raises:
            ValueError: The URL is none of these.
        """
        self._prefix = b"{" + prefix.encode() + b"}:"
        self._timeout = timeout
        self._replicas = replicas
        self._url = url
        self.raw: Any = client(url, timeout)
        self._cluster = isinstance(self.raw, LazyCluster)
        self._sha = ""

    def __repr__(self) -> str:
        return f"<RedisDriver {shown(self._url)}>"

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Give the values of records."""
        wanted = [self._prefix + key for key in keys]
        try:
            try:
                found: list[bytes | None] = self._client().mget(wanted)
            except LOST:
                found = self._client().mget(wanted)
        except (RedisError, OSError) as error:
            raise StoreError(f"Redis: {error}") from error
        return found

    def apply(self, transactions: Sequence[Transaction]) -> list[bool]:
        """Apply transactions; once more when the answer is lost: what is done twice counts once."""
        again = False
        try:
            try:
                results = self._run(transactions)
                missing = [isinstance(result, NoScriptError) for result in results]
                again = any(missing) and not all(missing)  # of them all none has been applied
            except LOST:
                missing, again = [True], True
            if any(missing):
                self._sha = ""  # which a server that was started again does not know
                results = self._run(transactions)
        except (RedisError, OSError) as error:
            raise StoreError(f"Redis: {error}") from error
        for result in results:
            if isinstance(result, Exception):
                raise StoreError(f"Redis: {result}") from result
        return outcome(transactions, [result == 1 for result in results], again=again)

    def close(self) -> None:
        """Close all connections."""
        with contextlib.suppress(RedisError, OSError):
            self.raw.close()

    def _client(self) -> Any:
        return self.raw.ready() if self._cluster else self.raw

    def _run(self, transactions: Sequence[Transaction]) -> list[Any]:
        client = self._client()
        if not self._sha:
            sha: Any = client.script_load(SCRIPT)
            self._sha = sha.decode() if isinstance(sha, bytes) else sha
        calls = [self._call(transaction) for transaction in transactions]
        if self._cluster:
            results: list[Any] = [client.evalsha(self._sha, *call) for call in calls]
            return results
        with client.pipeline(transaction=False) as pipeline:
            for call in calls:
                pipeline.evalsha(self._sha, *call)
            if self._replicas:
                pipeline.wait(self._replicas, int(self._timeout * 500))
            results = pipeline.execute(raise_on_error=False)
        if self._replicas:
            reached = results.pop()
            if isinstance(reached, Exception) or reached < self._replicas:
                raise StoreError(f"Redis: {reached} replicas have the write, {self._replicas} are wanted")
        return results

    def _call(self, transaction: Transaction) -> list[Any]:
        conditions, writes = transaction.conditions, transaction.writes
        keys = [self._prefix + key for key, _ in conditions] + [self._prefix + write.key for write in writes]
        arguments: list[Any] = [len(conditions), len(writes), *(version or b"" for _, version in conditions)]
        for write in writes:
            expires = int((write.expires + SLACK) * 1000) if write.expires else 0
            arguments += [write.value or b"", expires]
        return [len(keys), *keys, *arguments]
