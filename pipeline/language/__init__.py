"""The language of documents: YAML with places, the classes that are its grammar, and problems with their places."""
