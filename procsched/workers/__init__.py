"""The hands that hold processes."""
