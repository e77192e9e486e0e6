"""nodekiln: minimal, immutable, reproducible Linux node images, as a pipeline for doit.

The modules in reading order; each imports only what stands before it (import-linter holds the main lines).

**Values**      digest, size    the name of a piece of content; sizes as people write them
                tree       a file system as a value; contents are slices of blobs
**Store**       store      blobs by digest, trees, results of actions; with reading, rope (bytes in and out), record,
                           held (locks), references, fault (errors), export, meter; beside, inorder (threads)
                facts      what reading bytes found out: vouch (they are right), midstate, wordsum (sums)
                collect, fsck        what it may lose, and whether it is whole
**Actions**     action     the promise to call a stage; keys, performing, lost results made again
                reason, forecast, journal, drawing    why it runs, what a build would do, what the last did
**Language**    document, problem, kinds, reader, schema   YAML with places -> classes -> errors, schema, manual
                container, cgroup, capabilities, names, arches     what an entry of a spec may say
                spec, check, describe                      a spec; what is wrong with it; its schema and manual
                parts      what a section gives: the words of plan, sections and formats
                runtime_spec, label, lookup, metadata, bundles, compat    from an entry to a container's bundle
**Images**      oci/       references, registries, layouts, layers; nothing of what they say is believed
                recipe/    images out of Debian packages
                modules    (modinfo, modgraph, modindex) a kernel's modules, cut and with their dependency data
**Pictures of a tree**
                compress   named, reproducible compression
                writers/   one on-disk structure per module
                readers/   the same, opened again
                kernel_image    what a kernel's file says: version, configuration
**Pipeline**    stages/    the functions that actions call
                sections/  one module per top-level key of a spec; the directory is the grammar
                formats/   one module per output; the directory is the list
                seen, hostfile       what planning looks at on the host
                lock, offline        what every name meant, when somebody last asked; whether anybody may be asked
                plan       a spec and its lock become actions
**Use**         project, publish         a folder with specs/; results become files
                generation               which bytes this nodekiln makes, as one number
                qemu, httpd              how a machine starts an output; how a folder is served to one that starts
                sizes/, verify/, compare/    what each byte is for; building again; what differs
                planned, outline         the plans of a spec; what doit has to know of them, remembered
                perform                  what tasks do when they run
                tasks, state, reporter, progress    the only modules that know doit
                commands/  one module per command
"""

__version__ = "0.1.0"
