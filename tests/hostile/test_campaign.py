"""Damaged media files of every kind end in a result or in one error: never in another exception, a hang or a crash."""

import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import campaign
import pytest

from acutance.errors import AcutanceError

PROGRAM = Path(__file__).with_name("campaign.py")
CASES = 300
MORE = int(os.environ.get("ACUTANCE_CAMPAIGN_CASES", "0"))
FIRST = int(os.environ.get("ACUTANCE_CAMPAIGN_SEED", str(CASES)))


def faults(folder: Path, first: int, count: int, *, limit: float, log: Path | None = None) -> list[str]:
    """Run cases in a process of their own, which a crash or a hang ends. Returns what went wrong, a text each."""
    with (log or folder / "log.txt").open("w+", encoding="utf-8", errors="replace") as file:
        command = [sys.executable, str(PROGRAM), str(folder), str(first), str(count)]
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False, timeout=limit).returncode
        file.seek(0)
        said = file.read()
    found = [part[:3000] for part in said.split("FAULT ")[1:]]
    cases = [line for line in said.splitlines() if line.split(" ", 1)[0].isdigit()]
    if len(cases) != count or code != (1 if found else 0):
        found.append(f"the program ended with {code} after {len(cases)} of {count} cases:\n{said[-3000:]}")
    return found


def test_damaged_files_end_in_a_result_or_one_error(tmp_path: Path) -> None:
    found = faults(tmp_path, 0, CASES, limit=500)
    assert not found, "\n".join(found)


@pytest.mark.skipif(not MORE, reason="as many cases as ACUTANCE_CAMPAIGN_CASES says, from seed ACUTANCE_CAMPAIGN_SEED")
@pytest.mark.timeout(0)
def test_thousands_of_damaged_files_end_in_a_result_or_one_error(tmp_path: Path) -> None:
    found = faults(tmp_path, FIRST, MORE, limit=600 + MORE)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("failure", "written", "words"),
    [
        (IndexError("of a demuxer"), False, "IndexError: of a demuxer"),
        (AcutanceError("one\ntwo"), False, "more than one line"),
        (AcutanceError("one"), True, "a.png was written"),
        (None, False, "no a.png"),
    ],
)
def test_the_campaign_finds_a_fault(tmp_path: Path, failure: Exception | None, written: bool, words: str) -> None:
    class Broken:
        def image(self, source: Path, target: Path) -> Any:
            assert source.name == "in.png"
            if written:
                target.write_bytes(b"half")
            if failure is not None:
                raise failure
            return SimpleNamespace(frames=1)

    found = campaign.fault_of(cast("Any", Broken()), tmp_path / "in.png", tmp_path / "a.png")[1]
    assert words in str(found)


def test_a_campaign_that_breaks_off_is_a_fault(tmp_path: Path) -> None:
    (found,) = faults(tmp_path / "no folder", 0, 1, limit=60, log=tmp_path / "log.txt")
    assert "after 0 of 1 cases" in found


def test_each_mutation_changes_files_and_a_seed_always_makes_the_same() -> None:
    whole = bytes(range(256)) * 20
    for mutation in campaign.MUTATIONS:
        made = []
        for seed in (*range(20), *range(20)):
            data = bytearray(whole)
            mutation(data, random.Random(seed))
            made.append(bytes(data))
        assert made[:20] == made[20:]
        assert any(data != whole for data in made)
