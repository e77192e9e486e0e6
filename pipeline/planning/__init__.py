"""A spec and its lock become actions; checks and the manual of a spec."""
