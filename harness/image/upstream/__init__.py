"""Upstream images: the catalogue in ``images/catalogue``, fetching, verifying, unpacking."""
