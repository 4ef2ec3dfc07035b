"""Events in rough worlds: whoever subscribes is told everything once and in order, or that it was not everything."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.sim.events import BUSES, NAMES, TROUBLE, Cluster, Subscriber
from totohio.sim import Client, World, sim
from totohio.sim.hosting import Host
from totohio.sim.worlding import Script


def talk(
    world: World, cluster: Cluster, *, subscribers: int = 3, messages: int = 12, roomy: bool = True
) -> list[Subscriber]:
    """Clients send and others subscribe, each at any host, until all is healed and told.

    Args:
        world: Where.
        cluster: The hosts.
        subscribers: How many clients subscribe.
        messages: How many events each sender sends.
        roomy: There is memory for all, so that in the end all are told.
    """
    dice = world.dice.branch("talk")
    hosts = cluster.hosts
    made = [Subscriber(NAMES[: 1 + number % len(NAMES)]) for number in range(subscribers)]
    done: list[int] = []

    def send(number: int, clients: list[Client]) -> Script:
        for turn in range(messages):
            yield dice.between(0.0, 0.4)
            name = dice.pick(NAMES)
            try:
                yield dice.pick(clients).call("send", {"name": name, "payload": f"{number}.{turn}"}, timeout=3.0)
            except TROUBLE:
                world.sometimes("nobody knows whether it was sent")
        done.append(number)

    def subscribe(subscriber: Subscriber, clients: list[Client]) -> Script:
        client = dice.pick(clients)
        while len(done) < 2:
            if dice.chance(0.2):
                client = dice.pick(clients)
            answer = yield from subscriber.ask(client, timeout=dice.pick((0.1, 1.0)))
            if answer is None:
                yield 0.2
            else:
                if len(hosts) > 1:
                    world.sometimes("something was lost and it was said", not answer["recovered"])
                world.sometimes("all was recovered", answer["recovered"] and len(answer["events"]) > 1)

    everybody = []
    for number in range(2):
        clients = clients_of(world, hosts)
        world.spawn(send(number, clients), f"sender {number}", on=clients[0])
    for subscriber in made:
        clients = clients_of(world, hosts)
        everybody.append(clients)
        world.spawn(subscribe(subscriber, clients), "subscriber", on=clients[0])
    world.run()
    world.heal()
    world.run_until(cluster.level, within=60.0)

    def finish(subscriber: Subscriber, clients: list[Client]) -> Script:
        """After everything a subscriber is told what is sent now, wherever it is."""
        client = dice.pick(clients)
        for _ in range(40):
            if (yield from subscriber.ask(client, timeout=0.1)) is not None and subscriber.last_id is not None:
                break
            yield 0.5
        for host in hosts:
            text = f"last of {host.name} for {id_of[subscriber]}"
            payload = yield from send_at_last(clients[hosts.index(host)], text)
            told: list[Any] = []
            warned = False
            for _ in range(20):
                answer = yield from subscriber.ask(client, timeout=1.0)
                told += [event["args"] for event in answer["events"]] if answer is not None else []
                warned |= answer is not None and not answer["recovered"]
                if payload in told:
                    break
            world.sometimes("an event in a sunny world comes", payload in told)
            assert payload in told or warned or not roomy, "an event in a sunny world did not come"

    id_of = {subscriber: number for number, subscriber in enumerate(made)}
    for subscriber, clients in zip(made, everybody, strict=True):
        world.spawn(finish(subscriber, clients), "finisher", on=clients[0])
    world.run()
    return made


def send_at_last(client: Client, text: str) -> Script:
    """Send an event and give its payload; again, with another one, when a connection breaks or a store still rests."""
    for number in range(10):
        try:
            yield client.call("send", {"name": NAMES[0], "payload": f"{text}, {number}"})
        except TROUBLE:
            yield 1.0
            continue
        return f"{text}, {number}"
    raise AssertionError(f"{text} cannot be sent")


def clients_of(world: World, hosts: Sequence[Host]) -> list[Client]:
    """A client for each host, on one machine."""
    return [world.client(host) for host in hosts]


def struck(world: World) -> set[str]:
    """The kinds of faults that have happened."""
    return {fault.kind for fault in world.plan.fired}


@pytest.mark.parametrize("bus", BUSES)
@sim(seeds=30, faults="stormy")
def test_subscribers_are_told_everything_or_that_it_was_not_in_storms(world: World, bus: str) -> None:
    cluster = Cluster(world, bus)
    for subscriber in talk(world, cluster):
        subscriber.check(cluster.sent)
    world.sometimes("a partition", bool({"partition", "isolate"} & struck(world)))


@pytest.mark.parametrize("bus", BUSES)
@sim(seeds=32, faults="radioactive")
def test_subscribers_are_told_everything_or_that_it_was_not_though_hosts_crash(world: World, bus: str) -> None:
    cluster = Cluster(world, bus)
    for subscriber in talk(world, cluster):
        subscriber.check(cluster.sent)
    world.sometimes("a host crashes", "crash" in struck(world))
    world.sometimes("a process is killed", "kill" in struck(world))


@pytest.mark.parametrize("bus", BUSES)
@sim(seeds=16, faults="stormy")
def test_little_memory_loses_events_but_never_silently(world: World, bus: str) -> None:
    cluster = Cluster(world, bus, event_history=2, event_queue=4, event_buffer=2)
    for subscriber in talk(world, cluster, messages=20, roomy=False):
        subscriber.check(cluster.sent)
