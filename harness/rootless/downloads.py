"""Static builds for the published installer, packed from what a guest has and served in it.

The installer downloads two archives over https.  Where there is no internet, a server on the
guest's own loopback answers, whatever the host and the version asked for; the installer itself is
not touched.
"""

from __future__ import annotations

from harness.guest.guest import Guest
from harness.rootless import setuptool

PORT = 8443
_SECONDS = 120.0
_DIRECTORY = "$HOME/downloads"
# Names as in the archives of docker.com; what a guest has not got is left out.
DOCKER = ("docker", "dockerd", "containerd", "containerd-shim-runc-v2", "ctr", "runc",
          "docker-init", "docker-proxy")  # fmt: skip
EXTRAS = ("rootlesskit", "rootlesskit-docker-proxy", "vpnkit", "dockerd-rootless.sh",
          setuptool.NAME)  # fmt: skip
# Arguments: where the setup tool is, the archive, the directory in it, names.  Fast rather than
# small.
_PACK = f"""
cd "{_DIRECTORY}"
PATH=$1:/usr/sbin:/sbin:$PATH
archive=$2 inside=$3; shift 3
for name do
    path=$(command -v "$name") || continue
    set -- "$@" "$path"
    shift
done
tar -ch --transform "s,.*/,$inside/," "$@" 2> tar.log | gzip -1 > "$archive"
"""
_SERVER = """
import http.server, os, ssl, sys

class Builds(http.server.SimpleHTTPRequestHandler):
    def translate_path(self, path):
        name = os.path.basename(path)
        extras = name.startswith("docker-rootless-extras-")
        found = "extras.tgz" if extras else "docker.tgz" if name.startswith("docker-") else "none"
        return os.path.abspath(found)

server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Builds)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
print("listening", flush=True)
server.serve_forever()
"""
_CERTIFICATE = f"""
mkdir -p "{_DIRECTORY}"; cd "{_DIRECTORY}"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=stub -keyout key -out certificate
cat key certificate > pem
"""
_SERVE = f"""
cd "{_DIRECTORY}"
setsid python3 server.py "$1" > log 2>&1 < /dev/null &
pid=$!
until grep -q listening log; do kill -0 "$pid" || exit 1; sleep 0.2; done
"""
# Of the whole user: the installer's own commands stay as they are.
_CURLRC = 'connect-to = "::127.0.0.1:{port}"\ninsecure\n'


def obstacle(guest: Guest) -> str:
    """Why no server can run in *guest*; empty where one can."""
    missing = [
        name for name in ("python3", "openssl", "tar", "gzip")
        if not guest.user.sh('command -v "$1"', name, check=False).ok
    ]  # fmt: skip
    return f"the guest has no {' and no '.join(missing)} to serve downloads with" if missing else ""


def serve(guest: Guest) -> None:
    """Answer every https request of the user's curl in *guest*."""
    user = guest.user
    user.sh(_CERTIFICATE, timeout=_SECONDS)
    # Debian keeps the tool out of everyone's PATH.
    directory = guest.facts.setuptool.rpartition("/")[0] or "/usr/bin"
    for archive, inside, names in (
        ("docker.tgz", "docker", DOCKER), ("extras.tgz", "docker-rootless-extras", EXTRAS),
    ):  # fmt: skip
        user.sh(_PACK, directory, archive, inside, *names, timeout=_SECONDS)
    home = user.sh('printf %s "$HOME"').stdout
    user.write(f"{home}/downloads/server.py", _SERVER)
    user.sh(_SERVE, str(PORT))
    user.write(f"{home}/.curlrc", _CURLRC.format(port=PORT))


def asked(guest: Guest) -> str:
    """What was asked of the server, as it logged it; nothing where none runs."""
    return guest.user.sh(f'cat "{_DIRECTORY}/log"', check=False).stdout
