"""The history that survives us."""
