"""A file job that is killed by SIGKILL, by itself, at a moment that is asked for: run as a program by test_resume.py.

python killed_job.py MOMENT MODEL SOURCE TARGET [OPTION=VALUE ...]
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from acutance import Sharpener
from acutance.io import files
from acutance.jobs import segmented_writer
from acutance.jobs.journal import Journal

MOMENTS = (
    "in the first segment",
    "in the third segment",
    "with a segment finished and not in the journal",
    "with a segment in the journal",
    "while the segments are joined",
    "before the output gets its name",
    "when the output has its name",
)


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _after(calls: int) -> Callable[..., None]:
    """Dies when it is called so many times."""
    count = iter(range(1, calls + 1))

    def call(*_: object) -> None:
        if next(count) == calls:
            die()

    return call


def arrange(moment: str) -> Callable[[int, int], None]:
    """See to it that this process dies then; returns what is to be called as progress."""
    append, joined, commit = Journal.append, segmented_writer.joined_packets, files.AtomicOutput.commit
    if moment == "in the first segment":
        return lambda done, _: die() if done == 5 else None
    if moment == "in the third segment":
        return lambda done, _: die() if done == 23 else None
    if moment == "with a segment finished and not in the journal":
        count = iter(range(1, 100))
        Journal.append = lambda self, entry: die() if next(count) == 2 else append(self, entry)
    elif moment == "with a segment in the journal":
        died = _after(2)
        Journal.append = lambda self, entry: [append(self, entry), died()]
    elif moment == "while the segments are joined":

        def packets(*arguments: Any, **options: Any) -> Any:
            for number, packet in enumerate(joined(*arguments, **options)):
                if number == 20:
                    die()
                yield packet

        segmented_writer.joined_packets = packets
    elif moment == "before the output gets its name":
        from pathlib import Path

        Path.replace = die
    elif moment == "when the output has its name":
        files.AtomicOutput.commit = lambda self: [commit(self), die()]
    return lambda *_: None


def main() -> None:
    moment, model, source, target, *options = sys.argv[1:]
    values = {name: json.loads(value) for name, _, value in (option.partition("=") for option in options)}
    sharpener = Sharpener(model, threads=1)
    sharpener.video(source, target, progress=arrange(moment), **values)


if __name__ == "__main__":
    main()
