"""The documents that claims are taken from, as reports name them."""

PHOTON = "Photon OS, docker-rootless"
MOBY = "moby 19.03, docs/rootless.md"
MANUAL = "Docker manual, rootless mode"
HOME = "rootlesscontaine.rs"
DEBIAN = "Debian, docker.io"
