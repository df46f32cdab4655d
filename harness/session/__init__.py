"""One pytest session: options, the run it leaves, deciding, and the fixtures of scenarios."""
