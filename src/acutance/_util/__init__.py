"""Small parts that every other part may use."""
