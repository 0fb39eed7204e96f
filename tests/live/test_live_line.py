"""What lies between stages, and the books."""

import threading

from acutance.live.ledger import Durations, Ledger
from acutance.live.line import Line


def test_a_slot_holds_the_newest_and_gives_back_what_it_replaces() -> None:
    slot: Line[int] = Line()
    assert slot.put(1) is None
    assert slot.put(2) == 1
    assert slot.take(0.0) == 2
    assert slot.take(0.0) is None


def test_a_line_refuses_what_has_no_place() -> None:
    line: Line[int] = Line(2)
    assert [line.put(i) for i in (1, 2, 3)] == [None, None, 3]
    assert [line.take(0.0) for _ in range(3)] == [1, 2, None]


def test_what_waits_can_be_taken_after_closing() -> None:
    slot: Line[int] = Line()
    slot.put(1)
    slot.close()
    assert slot.put(2) == 2
    assert not slot.finished
    assert slot.take(1.0) == 1
    assert slot.finished
    assert slot.take(1.0) is None


def test_closing_wakes_whoever_waits() -> None:
    slot: Line[int] = Line()
    took: list[int | None] = []
    thread = threading.Thread(target=lambda: took.append(slot.take(30.0)))
    thread.start()
    slot.close()
    thread.join(5)
    assert took == [None]


def test_percentiles_are_those_of_all_durations_to_the_bin() -> None:
    durations = Durations()
    for number in range(1, 1001):
        durations.add(number / 1000)
    assert len(durations) == 1000
    for percent in (50, 95, 99):
        assert abs(durations.percentile(percent) - percent / 100) <= 0.0011
    durations.add(1e9)
    assert durations.percentile(100) == 5.0
    assert Durations().percentile(50) == 0.0


def test_the_books_add_up_from_many_threads() -> None:
    ledger = Ledger(("a", "b"))

    def work() -> None:
        for number in range(1000):
            ledger.capture()
            if number % 3 == 0:
                ledger.drop("busy")
            else:
                ledger.show("a", 0.01)
                ledger.drop("slow", sink="b")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.captured == 4000
    for sink in ("a", "b"):
        assert ledger.shown(sink) + sum(ledger.dropped(sink).values()) == 4000
