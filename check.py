"""Run all checks: lint, format, types, documentation, tests. Arguments go to pytest."""

import subprocess
import sys
from pathlib import Path

NATIVE = sorted(str(path) for path in Path("native").rglob("*") if path.suffix in {".c", ".cpp", ".h"})
TOOLS = Path(sys.executable).parent
CHECKS = (
    (sys.executable, "-m", "ruff", "check", "."),
    (sys.executable, "-m", "ruff", "format", "--check", "."),
    (str(TOOLS / "clang-format"), "--dry-run", "-Werror", *NATIVE),
    (sys.executable, "-m", "mypy"),
    (sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", "build/site"),
    (sys.executable, "-m", "pytest", *sys.argv[1:]),
)


def main() -> int:
    for check in CHECKS:
        print("$", *[Path(word).name for word in check[:4]], flush=True)
        code = subprocess.run(check, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
