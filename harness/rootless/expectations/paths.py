"""Where things are: socket, data, state, configuration, namespaces (M19–M23, M26)."""

from __future__ import annotations

from posixpath import normpath

from harness.guest.facts import Facts
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.promise import promise
from harness.rootless.expectations.sources import MANUAL, MOBY
from harness.rootless.expectations.start import needs_containers, needs_daemon, needs_own_network

USAGE = f"{MOBY}, 'Daemon'; {MANUAL}, 'Best practices'"


def _in_runtime_directory(key: str, name: str, observe: str) -> None:
    def predict(facts: Facts) -> Prediction:
        if not facts.xdg_runtime_dir:
            return not_applicable("XDG_RUNTIME_DIR is unset")
        because = f"XDG_RUNTIME_DIR {facts.xdg_runtime_dir}"
        return Prediction(f"{facts.xdg_runtime_dir}/{name}", because)

    predict.__doc__ = observe
    rule(key, source=USAGE)(needs_daemon(predict))


_in_runtime_directory("M19", "docker.sock", "Where the API is offered, on UNIX sockets and "
                      "ports of TCP, and which of the sockets and their directories others may "
                      "read or write, or have.")
_in_runtime_directory("M21", "docker", "dockerd's exec root: the directory that holds "
                      "`containerd/`, and is there, and whether others may write it, or have it.")


promise("M19.others", "none", "To which sockets of an engine, containerd or RootlessKit another "
        "account than root gets through, the user to one of root's, and where the API answers "
        "anybody, on UNIX sockets and ports of TCP.", source=USAGE, guard=needs_daemon)


@rule("M20", source=USAGE)
@needs_daemon
def data(facts: Facts) -> Prediction:
    """`docker info --format {{.DockerRootDir}}`, with the home directory written ``~`` unless
    daemon.json sets a data-root, and whether others may read or write it, or
    have it."""
    setting = facts.daemon_json.get("data-root")
    because = f"data-root {setting or 'unset'} in daemon.json"
    value = normpath(str(setting)) if setting else "~/.local/share/docker"
    return Prediction(value, because)


def data_root(reported: str, home: str, facts: Facts) -> str:
    """What the daemon *reported*, as the rule of M20 writes it: a setting is compared as it is,
    a directory below *home* that nobody set with ``~``."""
    if facts.daemon_json.get("data-root"):
        return reported
    below = reported.startswith(f"{home.rstrip('/')}/")
    return "~" + reported.removeprefix(home.rstrip("/")) if below else reported


promise("M22", "takes effect", "A key in ~/.config/docker/daemon.json (a label, say) after a "
        "restart: ``takes effect`` or ``no effect``.", source=USAGE, guard=needs_daemon)
promise("M22.wrong_path", "no effect", "The same key in ~/.docker/daemon.json.", source=USAGE,
        guard=needs_daemon)


@rule("M23", source=f"{MOBY}, 'Daemon'")
@needs_own_network
def nsenter(facts: Facts) -> Prediction:
    """The documented `nsenter` recipe running `id -u`: ``enters`` if it prints 0 and its user,
    mnt and net namespaces are dockerd's."""
    return Prediction("enters", f"engine {facts.engine}")


promise("M26", 0, "The exit status of `docker -H unix://SOCKET run …` with the upstream client, "
        "no context and no DOCKER_HOST.", source=USAGE, guard=needs_containers)
