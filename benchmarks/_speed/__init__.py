"""The parts of ``benchmarks/speed.py``: one module for each kind of contender, one for each group of targets."""
