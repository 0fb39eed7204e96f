"""Every check there is: lint, format, types, tests. ``python check.py``; arguments go to pytest."""

import subprocess
import sys

CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("pytest", *sys.argv[1:]),
)


def main() -> int:
    for check in CHECKS:
        print("$", *check, flush=True)
        code = subprocess.run([sys.executable, "-m", *check], check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
