"""Size: what each byte of a node is for (measure), shown as a map (treemap)."""
