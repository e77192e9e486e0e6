"""Results of other machines: a cache that many share, its wires, and what is believed of it."""
