"""The machine that builds: files under safe names, tracked reads of the environment, the terminal."""
