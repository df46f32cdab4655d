"""Integration tests for rootless containers on virtual machines."""

__version__ = "0.1.0"
