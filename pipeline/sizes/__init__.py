"""Sizes: what each byte of a node is for (measure), shown as a map (treemap), and how much is allowed (budget)."""
