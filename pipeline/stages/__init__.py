"""Stages: the functions that actions call, `(store, *inputs: Digest, **params) -> Digest`.

Each is at the top of a module that has a VERSION, and depends on nothing but its inputs and parameters.
"""
