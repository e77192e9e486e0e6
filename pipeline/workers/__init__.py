"""Stages on other machines: an executor that sends calls to workers, and the workers themselves."""
