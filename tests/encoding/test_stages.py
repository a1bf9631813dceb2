"""Stages side by side: order, bounds, errors that arrive where they belong, and ends."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from fnet_cli.encoding.stages import Ahead, Workers


def failing_after(count: int):
    yield from range(count)
    raise ValueError("no more")


def wait_until(condition) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_items_come_in_order_and_end():
    with Ahead(iter(range(50)), 2) as ahead:
        assert list(ahead) == list(range(50))


def test_an_error_comes_after_the_items_before_it():
    with Ahead(failing_after(3), 5) as ahead:
        assert [next(ahead) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="no more"):
            next(ahead)


def test_no_more_is_made_than_there_is_room_for():
    made = []

    def items():
        for number in itertools.count():
            made.append(number)
            yield number

    with Ahead(items(), 2) as ahead:
        next(ahead)
        wait_until(lambda: len(made) == 4)  # taken, two that wait, one that waits for room
        time.sleep(0.3)
        assert len(made) == 4


def test_an_iterator_that_is_left_makes_nothing_more():
    made = []
    with Ahead((made.append(number) for number in itertools.count()), 1):
        wait_until(lambda: len(made) == 2)
    count = threading.active_count
    before = len(made)
    time.sleep(0.3)
    assert len(made) == before
    assert not [thread for thread in threading.enumerate() if thread.name == "fnet-ahead"], count()


def test_it_is_known_whether_an_item_is_there():
    gate = threading.Event()

    def items():
        gate.wait()
        yield 1

    with Ahead(items(), 1) as ahead:
        assert not ahead.is_ready
        gate.set()
        wait_until(lambda: ahead.is_ready)
        assert next(ahead) == 1


def test_results_come_in_the_order_of_the_calls():
    with Workers[int](4) as workers:
        for number in range(20):
            workers.submit(lambda number=number: time.sleep(0.01 * (number % 3)) or number)
        assert [workers.result() for _ in range(20)] == list(range(20))
        assert len(workers) == 0


def test_calls_run_side_by_side():
    meeting = threading.Barrier(3, timeout=10)
    with Workers[int](3) as workers:
        for _ in range(3):
            workers.submit(meeting.wait)
        assert sorted(workers.result() for _ in range(3)) == [0, 1, 2]


def test_an_error_is_raised_where_the_result_is_asked_for_and_later_calls_are_dropped():
    ran = []

    def fail() -> None:
        raise ValueError("away")

    def note() -> None:
        ran.append(1)
        time.sleep(0.05)

    def work() -> None:
        with Workers[None](1) as workers:
            workers.submit(fail)
            for _ in range(100):
                workers.submit(note)
            workers.result()

    with pytest.raises(ValueError, match="away"):
        work()
    assert len(ran) < 10
