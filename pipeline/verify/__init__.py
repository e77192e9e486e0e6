"""Verify: builds again from locked inputs, under conditions that differ on purpose.

Reading order: conditions (what may differ), runs (one after another, compared), rebuild (a run's process), verdict.
"""
