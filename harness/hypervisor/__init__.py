"""The only room that imports libvirt: connections, machines, consoles, saved states, leases."""

import os

# Read when libvirt is imported.  The embedded driver would log to stderr; its errors reach us as
# exceptions anyway.
os.environ.setdefault("LIBVIRT_LOG_OUTPUTS", "4:file:/dev/null")
