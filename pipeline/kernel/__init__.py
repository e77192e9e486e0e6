"""Kernels: what a kernel's file says of it, and its modules, cut and with their dependency data."""
