"""The call test: calls made from clips, methods that restore them, and how the outcome is measured."""
