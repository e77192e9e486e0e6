"""Vocabulary of containers and command lines: keys that an entry of a spec may have, and its runtime configuration."""
