"""The only room that imports paramiko: connections, commands, files, facts, clock."""
