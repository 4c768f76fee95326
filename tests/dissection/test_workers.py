"""Workers: answers in order, errors that come out, every unit in one slice, and torch's threads left as they were."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from unitlens.dissection.workers import FEWEST, MOST, Workers

CPU = torch.device("cpu")
SOON = 20  # seconds after which a thread that waits gives up; nothing waits so long unless a test fails


@pytest.fixture(autouse=True)
def torch_uses_three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def counting_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("unitlens-count")]


def fail(reason: object) -> None:
    raise ArithmeticError(reason)


# ---- map -----------------------------------------------------------------------------------------------------------


def test_answers_come_in_the_order_of_the_pieces_whichever_is_done_first():
    done = [threading.Event() for _ in range(4)]

    def after_the_next_one(piece: int) -> tuple[int, bool]:
        in_time = piece == 2 or done[piece + 1].wait(SOON)  # 2 is done first, then 1, then 0
        done[piece].set()
        return piece, in_time

    with Workers(3) as workers:
        assert workers.map(after_the_next_one, range(3)) == [(0, True), (1, True), (2, True)]


def test_there_may_be_more_pieces_than_threads_or_none():
    with Workers(2) as workers:
        assert workers.map(lambda piece: piece**2, iter(range(7))) == [0, 1, 4, 9, 16, 25, 36]
        assert workers.map(fail, []) == []


@pytest.mark.parametrize("count", [2, 3])
def test_as_many_pieces_run_at_once_as_there_are_threads(count):
    together = threading.Barrier(count, timeout=SOON)
    with Workers(count) as workers:
        assert sorted(workers.map(lambda _: together.wait(), range(count))) == list(range(count))


@pytest.mark.parametrize(("count", "pieces"), [(1, 5), (3, 1)])
def test_one_thread_or_one_piece_is_work_for_the_thread_that_asks(count, pieces):
    with Workers(count) as workers:
        ran_in = workers.map(lambda _: threading.current_thread(), range(pieces))
    assert ran_in == [threading.current_thread()] * pieces


def test_no_thread_is_started_for_one_core():
    with Workers(1):
        assert not counting_threads()


@pytest.mark.parametrize("count", [1, 3])
def test_an_error_of_a_piece_is_raised_and_more_can_be_asked(count):
    with Workers(count) as workers:
        with pytest.raises(ArithmeticError, match="piece 1"):
            workers.map(lambda piece: fail("piece 1") if piece == 1 else piece, range(4))
        assert workers.map(lambda piece: -piece, range(4)) == [0, -1, -2, -3]


# ---- slices --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 5, MOST])
def test_slices_hold_every_unit_once_and_in_order(count):
    for units in (1, FEWEST - 1, FEWEST, 2 * FEWEST - 1, 2 * FEWEST, 3 * FEWEST, 53, 512, 1001):
        parts = Workers(count).slices(units, CPU)
        assert [unit for part in parts for unit in range(units)[part]] == list(range(units))
        sizes = [part.stop - part.start for part in parts]
        assert len(parts) == max(1, min(count, units // FEWEST))
        assert max(sizes) - min(sizes) <= 1
        assert len(parts) == 1 or min(sizes) >= FEWEST


def test_an_accelerator_counts_all_units_at_once():
    assert Workers(3).slices(101, torch.device("cuda")) == [slice(0, 101)]


def test_there_are_as_many_threads_as_torch_has_or_are_asked_for_up_to_a_limit():
    assert [Workers(count).count for count in (None, 1, 5, MOST, MOST + 1, 1000)] == [3, 1, 5, MOST, MOST, MOST]
    with Workers() as workers:
        assert len(counting_threads()) == workers.count == 3


# ---- threads -------------------------------------------------------------------------------------------------------


def threads_of_a_new_thread() -> int:
    found: list[int] = []
    new = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    new.start()
    new.join()
    return found[0]


def test_torch_uses_one_thread_in_each_worker():
    together = threading.Barrier(2, timeout=SOON)

    def threads(_: int) -> int:
        together.wait()
        return torch.get_num_threads()

    with Workers(2) as workers:
        assert workers.map(threads, range(2)) == [1, 1]


def test_torch_uses_as_many_threads_as_before_in_all_others():
    with Workers(2) as workers:
        workers.map(lambda _: torch.get_num_threads(), range(4))
        assert (torch.get_num_threads(), threads_of_a_new_thread()) == (3, 3)
    assert (torch.get_num_threads(), threads_of_a_new_thread()) == (3, 3)


def test_all_threads_are_there_on_entering_and_gone_on_leaving():
    workers = Workers(4)
    assert not counting_threads()
    with workers:
        assert len(counting_threads()) == 4
    assert not counting_threads()


def test_an_error_inside_the_context_passes_and_ends_the_threads_too():
    with pytest.raises(ArithmeticError, match="inside"), Workers(3):
        fail("inside")
    assert not counting_threads()


def test_outside_the_context_work_is_done_by_the_caller():
    workers = Workers(3)
    with workers:
        pass
    assert workers.map(lambda _: threading.current_thread(), range(2)) == [threading.current_thread()] * 2
