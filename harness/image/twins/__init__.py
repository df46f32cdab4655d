"""Twins: another distro's packages, made of Debian's binaries, and what makes a base its twin."""
