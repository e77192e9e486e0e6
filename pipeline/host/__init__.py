"""The machine that builds: files under safe names, tracked reads, environment, terminal."""
