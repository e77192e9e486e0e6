"""Verify: builds again from locked inputs, under conditions that differ on purpose.

Reading order: conditions (what may differ), copies (what a run starts with), runs (compared with the first), rebuild (a
run's process), verdict; versions (what cannot be met any more).
"""
