"""Make the helpers of ``benchmarks/`` importable: import this module before them."""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "benchmarks"))
