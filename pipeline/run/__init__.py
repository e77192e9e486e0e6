"""Start an output: QEMU, seed disks with keys, an HTTP server."""
