"""Values: a file system as a tree of entries, digests, sizes and errors. Nothing here reads or writes."""
