"""Distros as data: one small file each, no I/O.  :mod:`.registry` finds them."""
