"""What is asked of a sweep through the environment."""

import pytest

from totohio.sim.sweeps.ordering import OrderError, Orders

WHOLE = Orders(
    seeds=5, first=0, faults="sunny", check_determinism=True, keep_going=True, part="2/3", news="n", folder="f"
)


@pytest.mark.parametrize("orders", [Orders(), WHOLE, Orders(first=3)], ids=["nothing", "all", "some"])
def test_orders_survive_the_way_through_the_environment(orders: Orders):
    assert Orders.read({"TOTOHIO_PORT": "x", "PATH": "y", **orders.environ()}) == orders


@pytest.mark.parametrize(
    ("variable", "text", "error"),
    [
        ("SEEDS", "many", 'TOTOHIO_SIM_SEEDS: expected a number from 0, got "many"'),
        ("SEEDS", "0", "TOTOHIO_SIM_SEEDS: a sweep has one seed at least"),
        ("FIRST", "-1", 'TOTOHIO_SIM_FIRST: expected a number from 0, got "-1"'),
        ("KEEP_GOING", "perhaps", 'TOTOHIO_SIM_KEEP_GOING: expected true or false, got "perhaps"'),
        ("PART", "3/2", 'TOTOHIO_SIM_PART: expected a part such as 2/3, got "3/2"'),
        ("PART", "half", 'TOTOHIO_SIM_PART: expected a part such as 2/3, got "half"'),
        ("SEDS", "3", "TOTOHIO_SIM_SEDS: there is no such variable, only TOTOHIO_SIM_SEEDS, TOTOHIO_SIM_FIRST,"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, text: str, error: str):
    with pytest.raises(OrderError) as caught:
        Orders.read({f"TOTOHIO_SIM_{variable}": text})
    assert str(caught.value).startswith(error)


@pytest.mark.parametrize("count", [1, 2, 3, 20])
def test_the_parts_of_a_sweep_are_the_whole_of_it(count: int):
    parts = [Orders(part=f"{number}/{count}").share(range(5, 17)) for number in range(1, count + 1)]
    assert sorted(seed for part in parts for seed in part) == list(range(5, 17))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
