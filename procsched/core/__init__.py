"""The mind: what follows from what, with no hands and no clock.

Everything here is a value or a pure function of values; time enters as a
parameter.  Importing it performs no I/O, and an import contract keeps it so.
"""
