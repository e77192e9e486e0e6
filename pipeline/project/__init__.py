"""A folder with specs/: its store, and the files that results become."""
