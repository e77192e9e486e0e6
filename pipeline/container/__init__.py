"""Containers and command lines: the keys of an entry in a spec, and the OCI runtime configuration made of them."""
