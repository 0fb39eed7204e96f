"""Sharpening of pictures, frames and streams: the base classes, one student, arrays and raw video."""
