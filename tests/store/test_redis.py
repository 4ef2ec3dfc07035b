"""Redis as it is in the world: dead, back again, behind TLS and passwords, failed over and in a cluster."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme

from tests.processes import until
from tests.servers import Redis, free_port, redis_server
from totohio.base.clocking import Clock
from totohio.core.ports import StoreError, Transaction, Write
from totohio.net.offloading import KernelThreads
from totohio.store.conforming import new, put
from totohio.store.reaching import RemoteStore
from totohio.store.redis import RedisDriver


def work(url: str, **options: Any) -> RedisDriver:
    """A driver that has written and read something."""
    driver = RedisDriver(url, timeout=2.0, **options)
    value = new(b"payload")
    assert driver.apply([put(b"a", value), put(b"a", new(), (b"a", None))]) == [True, False]
    assert driver.read([b"a", b"none"]) == [value, None]
    return driver


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/0",
        "redis+other://127.0.0.1/0",
        "rediss+sentinel://127.0.0.1:26379",
        "redis+sentinel:///service",
        "",
    ],
)
def test_what_is_no_url_of_redis_is_said_to_be_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|needs|scheme"):
        RedisDriver(url)


def test_a_password_in_the_url_is_shown_to_nobody(server: Redis) -> None:
    driver = RedisDriver("redis://user:hunter2@127.0.0.1:1/0", timeout=0.5)
    with pytest.raises(StoreError) as caught:
        driver.read([b"a"])
    assert "hunter2" not in repr(driver) + str(caught.value)


def test_prefixes_keep_applications_apart(server: Redis) -> None:
    one, other = work(server.url, prefix="one"), RedisDriver(server.url, prefix="other")
    assert other.read([b"a"]) == [None]
    one.close()
    other.close()


def test_what_expires_is_removed_by_the_server_itself_and_not_too_early(server: Redis) -> None:
    driver = RedisDriver(server.url, prefix="expiring")
    now = Clock().now()
    driver.apply(
        [put(b"past", new(), expires=now - 1000.0), put(b"soon", new(), expires=now + 100.0), put(b"ever", new())]
    )
    assert driver.read([b"past"]) == [None]
    with server.client() as client:
        assert 100 < client.ttl("{expiring}:soon") <= 161
        assert client.ttl("{expiring}:ever") == -1
    driver.apply([put(b"soon", new())])
    with server.client() as client:
        assert client.ttl("{expiring}:soon") == -1
    driver.close()


def test_a_server_that_has_forgotten_the_script_is_told_again(server: Redis) -> None:
    driver = work(server.url, prefix="script")
    with server.client() as client:
        client.script_flush()
    assert driver.apply([put(b"b", new()), put(b"b", new(), (b"b", None))]) == [True, False]
    driver.close()


def test_a_full_server_refuses_and_goes_on(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as server:
        driver = work(server.url)
        with pytest.raises(StoreError, match="memory"):
            driver.apply([put(b"k%d" % number, new(b"x" * 200_000)) for number in range(100)])
        assert driver.read([b"a"]) != [None]
        driver.close()


def test_a_server_that_dies_fails_calls_at_once_and_works_when_it_is_back(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        store = RemoteStore(RedisDriver(server.url, timeout=1.0), threads=KernelThreads(), clock=Clock())
        store.open()
        value = new(b"kept")

        def outcome(future: Any) -> Any:
            store.flush()
            until(future.done, "the store answers")
            return future.exception() or future.result()

        assert outcome(store.commit([put(b"a", value)])) == [True]
        server.kill()
        assert isinstance(outcome(store.commit([put(b"b", new())])), StoreError)
        assert "a moment ago" in str(outcome(store.load([b"a"])))  # without trying
        server.start()

        def back() -> bool:
            return outcome(store.load([b"a"])) == [value]

        until(back, "it works again")
        assert outcome(store.commit([put(b"b", new())])) == [True]
        store.close()


def test_users_and_passwords_are_those_of_the_server(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "app", "on", ">secret%1", "~*", "+@all")
            client.execute_command("ACL", "SETUSER", "default", "resetkeys", "-@all", "+ping")
        work(f"redis://app:secret%251@127.0.0.1:{server.port}/0").close()
        for credentials in ("app:wrong@", "nobody:secret%251@", ""):
            with pytest.raises(StoreError):
                RedisDriver(f"redis://{credentials}127.0.0.1:{server.port}/0").read([b"a"])


def test_tls_is_spoken_with_a_server_that_an_authority_vouches_for(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    names = {}
    for name, blob in (
        ("ca", authority.cert_pem),
        ("stranger", stranger.cert_pem),
        ("key", certificate.private_key_pem),
    ):
        names[name] = tmp_path / f"{name}.pem"
        blob.write_to_path(names[name])
    names["cert"] = tmp_path / "cert.pem"
    names["cert"].write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    port = free_port()
    arguments = ["--tls-port", str(port), "--tls-cert-file", str(names["cert"]), "--tls-key-file", str(names["key"])]
    arguments += ["--tls-ca-cert-file", str(names["ca"]), "--tls-auth-clients", "no"]
    with redis_server(tmp_path / "redis", *arguments):
        work(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={names['ca']}").close()
        with pytest.raises(StoreError):
            RedisDriver(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={names['stranger']}").read([b"a"])


def test_writes_wait_for_replicas_where_that_is_asked_for(tmp_path: Path) -> None:
    with redis_server(tmp_path / "first") as first:
        with pytest.raises(StoreError, match="0 replicas"):
            RedisDriver(first.url, timeout=0.2, replicas=1).apply([put(b"a", new())])
        with redis_server(tmp_path / "second", "--replicaof", "127.0.0.1", str(first.port)) as second:
            until(lambda: second.client().info("replication")["master_link_status"] == "up", "the replica follows")
            value = new()
            assert RedisDriver(first.url, replicas=1).apply([put(b"b", value)]) == [True]
            driver = RedisDriver(second.url)
            assert driver.read([b"b"]) == [value]
            with pytest.raises(StoreError, match="read only"):
                driver.apply([put(b"c", new())])


def test_sentinels_lead_to_the_server_that_has_taken_over(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(redis_server(tmp_path / "first"))
        second = stack.enter_context(redis_server(tmp_path / "second", "--replicaof", "127.0.0.1", str(first.port)))
        port = free_port()
        config = tmp_path / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\nsentinel monitor main 127.0.0.1 {first.port} 1\n"
            "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 1000\n"
        )
        sentinel = subprocess.Popen(["redis-server", str(config), "--sentinel"], stdout=subprocess.DEVNULL)
        stack.callback(sentinel.wait)
        stack.callback(sentinel.kill)
        watcher = stack.enter_context(redis.Redis(port=port, socket_timeout=5.0))

        def known() -> bool:
            with contextlib.suppress(redis.RedisError):
                return bool(watcher.sentinel_slaves("main"))
            return False

        until(known, "the sentinel knows the replica")
        until(lambda: second.client().info("replication")["master_link_status"] == "up", "the replica follows")
        driver = work(f"redis+sentinel://127.0.0.1:{port}/main/0")
        first.kill()

        def taken_over() -> bool:
            with contextlib.suppress(StoreError):
                return driver.apply([put(b"z", new())]) == [True]
            return False

        until(taken_over, "the other server has taken over")
        assert second.client().exists("{totohio}:z")
        driver.close()


def test_a_cluster_keeps_all_of_it_together(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
        nodes = []
        for number in range(3):
            bus = ["--cluster-port", str(free_port())]
            nodes.append(stack.enter_context(redis_server(tmp_path / str(number), *arguments, *bus)))
        addresses = [f"127.0.0.1:{node.port}" for node in nodes]
        subprocess.run(
            ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"], check=True, stdout=subprocess.DEVNULL
        )
        until(
            lambda: all(node.client().cluster("info")["cluster_state"] == "ok" for node in nodes), "the cluster is up"
        )
        driver = work(f"redis+cluster://{addresses[0]}")
        both = Transaction(((b"x", None), (b"y", None)), (Write(b"x", new()), Write(b"y", new()), Write(b"z", None)))
        assert driver.apply([both, both, put(b"w", new())]) == [True, True, True]
        driver.close()
