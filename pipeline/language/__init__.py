"""The language of specs: YAML with places, the classes that are its grammar, and what an entry of a spec means."""
