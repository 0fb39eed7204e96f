"""The choice of a student for a picture or a stream."""
