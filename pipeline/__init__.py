"""nodekiln: minimal, immutable, reproducible Linux node images, as a pipeline for doit.

The layers, from the ground up. A package imports only packages above it in this list (pyproject.toml has the contract
with its reasons, import-linter holds it, and a test holds this list against it).

    model        a file system as a tree of entries, digests, sizes, errors: values without input or output
    host         the machine that builds: safe file names, tracked reads, environment, terminal
    compression  reproducible compression by name and level; a pool of threads that keeps the order
    store        blobs by digest, trees, results of actions; what is verified, remembered and exported
    incremental  what makes a change cost what changed: a memo, and seeds for outputs; each may be off
    engine       actions: promises to call a stage, their keys, lost results made again; collecting, checking
    ondisk       fields and constants of on-disk structures: file systems, disks, programs
    readers      such structures, opened: file systems, disks, archives
    writers      the same structures, written; one per module
    language     YAML with places -> classes -> errors and JSON Schema; knows no node
    trust        signatures of others: keys, certificates, logs, time stamps -> signers
    oci          references, registries, layouts, layers, image configurations
    shared       results of other machines: a cache that many share, its wires, what is believed of it
    workers      stages on other machines: an executor that sends calls, and the workers
    kernel       a kernel's modules with their dependency data, and its own configuration
    container    keys of a container and of a command line; its runtime configuration
    packages     Debian packages: names, versions, files
    programs     what a program needs to start: ELF, shared libraries, execve
    recipe       images out of Debian packages
    stages       the functions that actions call
    spec         a spec as a value: sections with places, the components that sections yield, bundles
    sections     one module per top-level key of a spec; the directory is the grammar
    formats      one module per output; the directory is the list
    planning     a spec and its lock become actions; checks and the manual of a spec
    project      a folder with specs/, its store and its results
    run          how a machine starts an output and gets its keys; a folder served over HTTP
    tasks        what doit sees: tasks, state, reporters; why something runs, and what a build would do
    inspect      results compared, rebuilt and verified, measured byte by byte
    commands     one module per command
"""

import importlib

__all__ = ["Store", "__version__", "build", "load_spec", "plan"]
__version__ = "0.1.0"
_HOMES = {
    "Store": "pipeline.store:Store",
    "build": "pipeline.project.build:build",
    "load_spec": "pipeline.planning.load:load",
    "plan": "pipeline.project.build:plan",
}


def __getattr__(name: str) -> object:
    """The public names, imported when they are first used; docs/reference/api.md describes them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
