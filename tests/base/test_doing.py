"""Our Doers run under every Doist of hio, and say when they need a cycle."""

from typing import Any

import pytest
from hio.base import doing as hio_doing

from totohio.base.doing import FOREVER, DoDoer, Doer


class Diary(Doer):
    """Writes down what happens to it."""

    def __init__(self, name: str, diary: list[str], *, cycles: int = 1000, due: float = FOREVER) -> None:
        super().__init__()
        self.name = name
        self.diary = diary
        self.cycles = cycles
        self.wanted = due
        self.tymes: list[float] = []

    def due(self, tyme: float) -> float:
        return self.wanted

    def enter(self, *, temp: bool | None = None) -> None:
        self.diary.append(f"{self.name} enters")

    def recur(self, tyme: float) -> bool:
        self.tymes.append(tyme)
        self.cycles -= 1
        return self.cycles <= 0

    def exit(self) -> None:
        self.diary.append(f"{self.name} exits")


def make_doist(*doers: Any, tock: float = 0.25, limit: float = 1.0) -> hio_doing.Doist:
    return hio_doing.Doist(real=False, tock=tock, limit=limit, doers=list(doers))


# ------------------------------------------------------------ Doer


def test_a_doer_runs_in_every_cycle_of_a_stock_doist_whatever_its_tock() -> None:
    doer = Diary("a", [])
    make_doist(doer).do()
    assert doer.tymes == [0.0, 0.25, 0.5, 0.75]


def test_a_doer_enters_before_and_exits_after_its_cycles() -> None:
    diary: list[str] = []
    make_doist(Diary("a", diary)).do()
    assert diary == ["a enters", "a exits"]


def test_a_doer_that_returns_true_is_done_and_runs_no_more() -> None:
    diary: list[str] = []
    doer = Diary("a", diary, cycles=2)
    doist = make_doist(doer)
    doist.do()
    assert doer.tymes == [0.0, 0.25]
    assert diary == ["a enters", "a exits"]
    assert doist.done is True
    assert doer.done is True


def test_a_doer_that_was_not_done_at_the_limit_is_told_to_exit() -> None:
    diary: list[str] = []
    doer = Diary("a", diary)
    doist = make_doist(doer)
    doist.do()
    assert diary[-1] == "a exits"
    assert doist.done is False


def test_a_doer_can_run_again_under_another_doist() -> None:
    diary: list[str] = []
    doer = Diary("a", diary)
    make_doist(doer).do()
    make_doist(doer).do()
    assert diary == ["a enters", "a exits"] * 2
    assert doer.tymes == [0.0, 0.25, 0.5, 0.75] * 2


def test_a_plain_doer_waits_for_a_wake_up_and_never_ends_by_itself() -> None:
    doer = Doer()
    assert doer.due(5.0) == FOREVER
    doist = make_doist(doer)
    doist.do()
    assert doist.done is False
    doer.exit()
    doer.exit()


def test_the_tyme_of_the_doist_reaches_a_doer_by_tymth_too() -> None:
    doist = make_doist()
    doist.tyme = 3.0
    doer = Doer(tymth=doist.tymen())
    assert doer.tyme == 3.0
    assert doer.tock == 0.0


def test_unknown_arguments_are_refused_rather_than_swallowed() -> None:
    with pytest.raises(TypeError):
        Doer(tocc=1.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        DoDoer(doers=[], tocc=1.0)  # type: ignore[call-arg]


def test_our_doer_lives_beside_a_stock_one_that_fails_and_still_exits() -> None:
    class Failing(hio_doing.Doer):  # type: ignore[misc]
        """An ordinary Doer with a fault."""

        def recur(self, tyme: float) -> bool:
            raise ValueError("tulip")

    diary: list[str] = []
    with pytest.raises(ValueError, match="tulip"):
        make_doist(Diary("a", diary), Failing()).do()
    assert diary == ["a enters", "a exits"]


# ------------------------------------------------------------ DoDoer


def test_a_dodoer_runs_its_doers_in_order_and_exits_them_last_first() -> None:
    diary: list[str] = []
    doers = [Diary(name, diary) for name in "abc"]
    make_doist(DoDoer(doers=list(doers))).do()
    assert diary == ["a enters", "b enters", "c enters", "c exits", "b exits", "a exits"]
    assert [doer.tymes for doer in doers] == [[0.0, 0.25, 0.5, 0.75]] * 3


def test_a_dodoer_is_done_when_its_last_doer_is() -> None:
    diary: list[str] = []
    first, last = Diary("a", diary, cycles=1), Diary("b", diary, cycles=3)
    doist = make_doist(DoDoer(doers=[first, last]))
    doist.do()
    assert (len(first.tymes), len(last.tymes)) == (1, 3)
    assert diary == ["a enters", "b enters", "a exits", "b exits"]
    assert doist.done is True


def test_a_dodoer_can_run_again_under_another_doist() -> None:
    diary: list[str] = []
    dodoer = DoDoer(doers=[Diary("a", diary)])
    make_doist(dodoer).do()
    make_doist(dodoer).do()
    assert diary == ["a enters", "a exits"] * 2


def test_dodoers_run_inside_dodoers() -> None:
    diary: list[str] = []
    doer = Diary("a", diary)
    make_doist(DoDoer(doers=[DoDoer(doers=[doer])])).do()
    assert doer.tymes == [0.0, 0.25, 0.5, 0.75]


def test_a_dodoer_takes_in_a_doer_while_it_runs_and_gives_it_up() -> None:
    diary: list[str] = []
    dodoer = DoDoer(doers=[Diary("a", diary)])
    doist = make_doist(dodoer)
    doist.enter()
    doist.recur()
    guest = Diary("b", diary, due=7.0)
    dodoer.extend([guest])
    doist.recur()
    assert len(guest.tymes) == 1
    assert dodoer.due(0.0) == 7.0
    dodoer.remove([guest])
    assert diary == ["a enters", "b enters", "b exits"]
    assert dodoer.due(0.0) == FOREVER
    doist.exit()


def test_a_dodoer_is_due_when_the_first_of_its_doers_is() -> None:
    dodoer = DoDoer(doers=[Diary("a", [], due=5.0), Diary("b", [], due=3.0), Diary("c", [])])
    doist = make_doist(dodoer)
    doist.enter()
    assert dodoer.due(1.0) == 3.0
    doist.exit()


def test_a_dodoer_of_dodoers_is_due_when_the_innermost_first_is() -> None:
    dodoer = DoDoer(doers=[DoDoer(doers=[Diary("a", [], due=5.0)]), DoDoer(doers=[])])
    doist = make_doist(dodoer)
    doist.enter()
    assert dodoer.due(1.0) == 5.0
    doist.exit()


def test_a_dodoer_without_doers_needs_no_cycle() -> None:
    assert DoDoer(doers=[]).due(1.0) == FOREVER


def test_a_doer_that_is_done_asks_for_no_more_cycles() -> None:
    dodoer = DoDoer(doers=[Diary("a", [], cycles=1, due=0.0), Diary("b", [], due=7.0)])
    doist = make_doist(dodoer)
    doist.enter()
    assert dodoer.due(0.0) == 0.0
    doist.recur()
    assert dodoer.due(0.0) == 7.0
    doist.exit()


def test_a_stock_doer_in_a_dodoer_of_ours_is_due_when_hio_says_so() -> None:
    dodoer = DoDoer(doers=[Diary("a", []), hio_doing.Doer(tock=2.0)])
    doist = make_doist(dodoer)
    doist.enter()
    doist.recur()
    assert dodoer.due(doist.tyme) == 2.0
    doist.exit()
