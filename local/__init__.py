"""The embedded local cloud: the real stack on this machine, without AWS and without containers."""
