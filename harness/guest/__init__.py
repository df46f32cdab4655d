"""The only room that imports paramiko: connections, commands, files, facts, clock."""

import logging

# It logs a traceback for each attempt while a guest boots; the last error reaches us anyway.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
