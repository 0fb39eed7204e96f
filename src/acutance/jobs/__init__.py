"""File jobs: decode, sharpen and encode, in segments that survive a stop."""
