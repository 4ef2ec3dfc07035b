from totohio.sim import sim


@sim(seeds=200, faults="sunny")
def test_no_deposit_is_lost(world):
    server = world.server("settings.yaml")

    def script(client):
        yield client.call("deposit", {"account": "ada", "amount": 10})

    world.visit(server, script, clients=2)
    assert world.call(server, "balance", {"account": "ada"}) == 20
