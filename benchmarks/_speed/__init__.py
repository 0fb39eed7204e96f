"""Parts of ``benchmarks/speed.py``: a module for each kind of contender and for each group of targets."""
