"""Lines of JSON that tell whether they are as they were written.

Each line is followed by a tab and the SHA-256 of it and of the hash of the line before. What is not as it was written
is not trusted, nor is what follows it.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["chain_hash", "read_sealed", "seal"]


def chain_hash(before: str, text: str) -> str:
    """Return the hash of a line that follows one with the hash ``before``."""
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def seal(values: Mapping[str, Any], *, after: str) -> tuple[bytes, str]:
    """Return a line with its hash, and the hash.

    Args:
        values: what JSON keeps.
        after: the hash of the line before; empty for the first.
    """
    text = json.dumps(values, separators=(",", ":"))
    mark = chain_hash(after, text)
    return f"{text}\t{mark}\n".encode(), mark


def read_sealed(raw: bytes, *, after: str) -> tuple[list[dict[str, Any]], str, int | None]:
    """Read lines up to the first that is not as it was written.

    Args:
        raw: the lines.
        after: the hash of the line before them; empty if they are the first.

    Returns:
        The values of the good lines, the hash of the last of them, and the number of the first bad line, from 1; None
        if all are good.
    """
    lines: list[dict[str, Any]] = []
    for number, line in enumerate(raw.splitlines(keepends=True), start=1):
        text, _, given = line.decode(errors="replace").partition("\t")
        mark = chain_hash(after, text)
        if given != f"{mark}\n":
            return lines, after, number
        try:
            lines.append(dict(json.loads(text)))
        except (ValueError, TypeError):
            return lines, after, number
        after = mark
    return lines, after, None
