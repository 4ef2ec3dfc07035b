"""The Doist that waits, on a clock and in pollers that only the test moves."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hio.base import doing

from tests.net.fakes import FakeClock, FakePoller, Ordinary, Ours
from totohio.base.doing import CADENCE, DoDoer
from totohio.net.polling import PollingDoist


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def run(clock: FakeClock, doers: list[Any], limit: float | None = None, **options: Any) -> PollingDoist:
    """Run these Doers on that clock."""
    doist = PollingDoist(doers=doers, limit=limit, clock=clock, **options)
    doist.do()
    return doist


def gaps(tymes: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(tymes)]


# ------------------------------------------------------------ how long it waits


def test_what_a_cycle_takes_is_not_waited_for_again(clock: FakeClock) -> None:
    def work(tyme: float) -> None:
        clock.time += 0.02

    doer = Ordinary(act=work)
    run(clock, [doer], limit=1.0)
    assert gaps(doer.tymes) == pytest.approx([CADENCE] * len(gaps(doer.tymes)))


def test_sockets_below_a_dodoer_that_rests_do_not_end_the_wait(clock: FakeClock) -> None:
    poller = FakePoller(clock, [0.125])
    run(clock, [doing.DoDoer(doers=[Ours([60.0], poller)], tock=0.5)], limit=1.0)
    assert poller.waits == []


def test_it_waits_until_the_first_of_our_doers_is_due_and_no_longer(clock: FakeClock) -> None:
    poller = FakePoller(clock)
    first = Ours([7.0], poller)
    second = Ours([3.0, 12.5])
    run(clock, [first, second], limit=20.0)
    assert first.tymes == [0.0, 3.0, 7.0, 12.5, 20.0]
    assert poller.waits == [3.0, 4.0, 5.5, 7.5]


def test_a_ready_socket_ends_the_wait_at_once(clock: FakeClock) -> None:
    poller = FakePoller(clock, [0.0625, 4.25])
    doer = Ours([60.0], poller)
    run(clock, [doer], limit=10.0)
    assert doer.tymes == [0.0, 0.0625, 4.25, 10.0]


def test_without_anything_to_do_it_waits_without_end(clock: FakeClock) -> None:
    poller = FakePoller(clock, [100_000.0])
    doer = Ours(None, poller, runs=2)
    doist = run(clock, [doer])
    assert poller.waits == [None]
    assert doist.done
    assert doist.tyme == 100_000.0


def test_the_first_cycle_comes_at_once(clock: FakeClock) -> None:
    for doer in (Ordinary(act=lambda _: True), Ordinary(tock=9.0, act=lambda _: True), Ours(runs=1)):
        assert run(clock, [doer]).done
        assert doer.tymes == [0.0]
    assert clock.sleeps == []


def test_a_wait_that_no_poller_can_count_is_made_of_shorter_ones(clock: FakeClock) -> None:
    poller = FakePoller(clock)
    doer = Ours([1e9], poller)
    run(clock, [doer], limit=3e6)
    assert 2 < len(poller.waits) < 100
    assert all(wait is not None and wait < 2**31 / 1000 for wait in poller.waits)


def test_tyme_follows_the_monotonic_clock_from_where_it_was(clock: FakeClock) -> None:
    doer = Ours([105.0], FakePoller(clock))
    doist = PollingDoist(doers=[doer], clock=clock)
    doist.do(limit=6.0, tyme=100.0)
    assert doer.tymes == [100.0, 105.0, 106.0]
    assert doist.tyme == 106.0


def test_a_clock_that_jumps_ahead_makes_one_cycle_and_no_storm(clock: FakeClock) -> None:
    def jump(tyme: float) -> None:
        if len(doer.tymes) == 3:
            clock.time += 60.0

    poller = FakePoller(clock)
    doer = Ordinary(act=jump)
    run(clock, [Ours(None, poller), doer], limit=62.0)
    assert len(doer.tymes) < 62.0 - 60.0 + 70
    assert max(gaps(doer.tymes)) >= 60.0


def test_a_clock_that_goes_back_does_not_turn_tyme_back(clock: FakeClock) -> None:
    def turn_back(tyme: float) -> None:
        if len(doer.tymes) == 10:
            clock.time -= 0.125

    doer = Ordinary(act=turn_back)
    run(clock, [doer], limit=1.0)
    assert doer.tymes == sorted(doer.tymes)


# ------------------------------------------------------------ ordinary Doers


def test_an_ordinary_doer_without_a_tock_keeps_stock_cadence(clock: FakeClock) -> None:
    doer = Ordinary()
    run(clock, [doer], limit=10.0)
    assert max(gaps(doer.tymes)) == pytest.approx(CADENCE)
    assert len(doer.tymes) == pytest.approx(10.0 / CADENCE, abs=2)


def test_an_ordinary_doer_without_a_tock_runs_in_cycles_that_happen_anyway(clock: FakeClock) -> None:
    poller = FakePoller(clock, [0.0078125, 0.015625, 0.03125])
    doer = Ordinary()
    run(clock, [Ours(None, poller), doer], limit=0.0625)
    assert doer.tymes == [0.0, 0.0078125, 0.015625, 0.03125, 0.0625]


@pytest.mark.parametrize("tock", [0.25, 1.0, 0.0078125])
def test_an_ordinary_doer_with_a_tock_runs_when_it_says(clock: FakeClock, tock: float) -> None:
    doer = Ordinary(tock=tock)
    run(clock, [doer], limit=4.0)
    assert gaps(doer.tymes) == pytest.approx([tock] * (len(doer.tymes) - 1))
    assert len(doer.tymes) == 4.0 / tock + 1


def test_a_doer_with_a_tock_catches_up_after_a_stall(clock: FakeClock) -> None:
    def stall(tyme: float) -> None:
        if tyme == 1.0:
            clock.time += 1.001

    doer = Ordinary(tock=0.0078125, act=stall)
    run(clock, [doer], limit=4.0)
    assert len(doer.tymes) == 4 * 128 + 1


def test_a_changed_tock_holds_from_then_on(clock: FakeClock) -> None:
    def slow(tyme: float) -> None:
        if tyme >= 1.0:
            doer.tock = 1.0

    doer = Ordinary(tock=0.5, act=slow)
    run(clock, [doer], limit=4.0)
    assert doer.tymes == [0.0, 0.5, 1.0, 2.0, 3.0, 4.0]


def test_generator_doers_run_as_hio_runs_them(clock: FakeClock) -> None:
    tymes = []

    @doing.doize(tock=0.0)  # type: ignore[untyped-decorator]
    def bare(tymth: Any = None, tock: float = 0.0, **kwa: Any) -> Iterator[float]:
        yield tock
        for pause in (0.5, 2.0, 0.25):
            tymes.append(tymth())
            yield pause
        tymes.append(tymth())

    doist = run(clock, [bare])
    assert tymes == [0.0, 0.5, 2.5, 2.75]
    assert doist.done


def test_a_dodoer_without_a_tock_is_looked_into(clock: FakeClock) -> None:
    slow = Ordinary(tock=2.0)
    poller = FakePoller(clock, [0.5])
    ours = Ours([3.0], poller)
    inner = doing.DoDoer(doers=[slow, doing.DoDoer(doers=[ours])])
    run(clock, [inner], limit=5.0)
    assert ours.tymes == [0.0, 0.5, 2.0, 3.0, 4.0, 5.0]
    assert slow.tymes == [0.0, 2.0, 4.0]


def test_a_dodoer_with_a_tock_keeps_it(clock: FakeClock) -> None:
    doer = Ordinary()
    run(clock, [doing.DoDoer(doers=[doer], tock=1.0)], limit=3.0)
    assert doer.tymes == [0.0, 1.0, 2.0, 3.0]


def test_our_dodoer_may_hold_ordinary_doers(clock: FakeClock) -> None:
    doer = Ordinary(tock=0.5)
    busy = Ordinary()
    ours = Ours([1.25])
    run(clock, [DoDoer(doers=[doer, ours])], limit=2.0)
    assert doer.tymes == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert 1.25 in ours.tymes
    run(clock, [DoDoer(doers=[busy])], limit=2.0)
    assert max(gaps(busy.tymes)) == pytest.approx(CADENCE)


def test_a_doer_that_is_done_is_asked_no_more_when_it_is_due(clock: FakeClock) -> None:
    class Done(Ours):
        def due(self, tyme: float) -> float:
            return tyme  # always at once

    poller = FakePoller(clock)
    rest = Ours([5.0], poller)
    run(clock, [DoDoer(doers=[Done(runs=1), rest])], limit=10.0)
    assert poller.waits == [5.0, 5.0]


def test_doers_that_are_added_later_run_too(clock: FakeClock) -> None:
    late = Ordinary(tock=0.5)
    later = Ours([2.25])

    def extend(tyme: float) -> None:
        if tyme == 1.0:
            doist.extend([late, later])
        if tyme == 3.0:
            doist.remove([late])

    first = Ordinary(tock=1.0, act=extend)
    doist = PollingDoist(doers=[first], clock=clock, limit=5.0)
    doist.do()
    assert late.tymes[0] <= 1.0 + CADENCE
    assert late.tymes[-1] == 3.0
    assert late.exits == 1
    assert 2.25 in later.tymes


# ------------------------------------------------------------ the end


def test_it_ends_when_all_its_doers_are_done(clock: FakeClock) -> None:
    doers = [Ours([1.0, 2.0], runs=2), Ordinary(tock=0.5, act=lambda tyme: tyme >= 3.0)]
    doist = run(clock, doers)
    assert doist.done
    assert doist.tyme == 3.0
    assert [doer.exits for doer in doers] == [1, 1]


def test_it_ends_at_once_without_doers(clock: FakeClock) -> None:
    assert run(clock, []).done
    assert clock.sleeps == []


def test_the_limit_ends_it_and_exits_its_doers(clock: FakeClock) -> None:
    doers = [Ours([100.0]), Ordinary()]
    doist = run(clock, doers, limit=2.5)
    assert doist.tyme == pytest.approx(2.5)
    assert not doist.done
    assert [doer.exits for doer in doers] == [1, 1]


def test_ctrl_c_ends_it_quietly_and_exits_its_doers(clock: FakeClock) -> None:
    def interrupt(tyme: float) -> None:
        if tyme >= 1.0:
            raise KeyboardInterrupt

    doers = [Ours(), Ordinary(tock=0.5, act=interrupt), Ordinary()]
    doist = run(clock, doers)
    assert not doist.done
    assert [doer.exits for doer in doers] == [1, 1, 1]
    assert not doist.deeds


def test_ctrl_c_while_it_waits_ends_it_too(clock: FakeClock) -> None:
    class Interrupted(FakePoller):
        def wait(self, seconds: float | None) -> None:
            raise KeyboardInterrupt

    doer = Ours(None, Interrupted(clock))
    run(clock, [doer])
    assert doer.exits == 1


def test_an_error_of_a_doer_exits_all_and_is_raised(clock: FakeClock) -> None:
    def fail(tyme: float) -> None:
        raise LookupError("mine")

    other = Ours()
    with pytest.raises(LookupError, match="mine"):
        run(clock, [other, Ordinary(act=fail)])
    assert other.exits == 1


def test_it_can_run_again(clock: FakeClock) -> None:
    doer = Ordinary(tock=0.5)
    doist = PollingDoist(doers=[doer], clock=clock)
    doist.do(limit=1.0)
    doist.do(limit=1.0)
    assert doer.tymes == [0.0, 0.5, 1.0, 1.0, 1.5, 2.0]


def test_doers_handed_to_do_replace_its_own(clock: FakeClock) -> None:
    mine, other = Ordinary(tock=1.0), Ordinary(tock=1.0)
    doist = PollingDoist(doers=[mine], clock=clock)
    doist.do(doers=[other], limit=1.0)
    assert mine.tymes == []
    assert other.tymes == [0.0, 1.0]
    assert doist.doers == [other]


def test_when_not_real_it_is_a_stock_doist(clock: FakeClock) -> None:
    def both(make: Callable[..., Any]) -> list[Any]:
        doers = [Ordinary(), Ordinary(tock=1.0), Ours([9.0])]
        doist = make(doers=doers, real=False, tock=0.25, limit=3.0)
        doist.do()
        return [doist.tyme, doist.done, *(doer.tymes for doer in doers)]

    assert both(lambda **options: PollingDoist(clock=clock, **options)) == both(doing.Doist)
    assert clock.sleeps == []
    assert clock.time == 1000.0


def test_when_not_real_its_cycles_can_be_driven_one_by_one(clock: FakeClock) -> None:
    doer = Ordinary()
    doist = PollingDoist(real=False, tock=0.5, clock=clock)
    deeds = doist.enter(doers=[doer])
    for _ in range(3):
        doist.recur(deeds=deeds)
    doist.exit(deeds=deeds)
    assert doer.tymes == [0.0, 0.5, 1.0]
    assert doer.exits == 1
