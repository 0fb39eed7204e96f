"""Frame slots between stages, and the counts of frames."""

import threading

from acutance.live.frame_slot import FrameSlot
from acutance.live.frame_stats import DurationHistogram, FrameStats


def test_a_slot_keeps_the_newest_item_and_returns_the_replaced_one() -> None:
    slot: FrameSlot[int] = FrameSlot()
    assert slot.put(1) is None
    assert slot.put(2) == 1
    assert slot.take(0.0) == 2
    assert slot.take(0.0) is None


def test_a_full_queue_refuses_new_items() -> None:
    queue: FrameSlot[int] = FrameSlot(2)
    assert [queue.put(i) for i in (1, 2, 3)] == [None, None, 3]
    assert [queue.take(0.0) for _ in range(3)] == [1, 2, None]


def test_waiting_items_can_be_taken_after_closing() -> None:
    slot: FrameSlot[int] = FrameSlot()
    slot.put(1)
    slot.close()
    assert slot.put(2) == 2
    assert not slot.finished
    assert slot.take(1.0) == 1
    assert slot.finished
    assert slot.take(1.0) is None


def test_closing_wakes_the_taker() -> None:
    slot: FrameSlot[int] = FrameSlot()
    took: list[int | None] = []
    thread = threading.Thread(target=lambda: took.append(slot.take(30.0)))
    thread.start()
    slot.close()
    thread.join(5)
    assert took == [None]


def test_percentiles_are_exact_to_the_bin() -> None:
    durations = DurationHistogram()
    for number in range(1, 1001):
        durations.add(number / 1000)
    assert len(durations) == 1000
    for percent in (50, 95, 99):
        assert abs(durations.percentile(percent) - percent / 100) <= 0.0011
    durations.add(1e9)
    assert durations.percentile(100) == 5.0
    assert DurationHistogram().percentile(50) == 0.0


def test_counts_from_many_threads_add_up() -> None:
    stats = FrameStats(("a", "b"))

    def work() -> None:
        for number in range(1000):
            stats.count_captured()
            if number % 3 == 0:
                stats.count_dropped("busy")
            else:
                stats.count_shown("a", 0.01)
                stats.count_dropped("slow", sink="b")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stats.captured == 4000
    for sink in ("a", "b"):
        assert stats.shown(sink) + sum(stats.dropped(sink).values()) == 4000
