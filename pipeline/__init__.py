"""nodekiln: minimal, immutable, reproducible Linux node images, as a pipeline for doit.

The modules in reading order; each imports only what stands before it (import-linter holds the main lines).

**Values**      digest, size, errors   the name of a piece of content; sizes as people write them; what people can mend
                typed, settings        the command that the user started; the project's own settings
                tree       a file system as a value; contents are slices of blobs
                columns    the bytes that name a tree
                mark, sealed         which state of a file this is; documents that carry a hash of themselves
                atomic     files under names that others can predict; symlinks that are not followed
                redact, terminal     what records hold and people see: no secrets, nothing that a terminal obeys
**Store**       store/     blobs by digest, trees, results of actions; rope, reading and export (bytes in and out); held
                           (locks), record, references, fault (errors), meter, beside, growing (threads)
                           vouch      which files of blobs are known to be right; derived: what was made of damaged ones
                           facts      what reading bytes found out: midstate, wordsum (sums)
                           chunks, spare    what a large content is made of; outputs made of older ones
**Actions**     action     the promise to call a stage; keys, performing, lost results made again
                collect, fsck        what the store may lose, and whether it is whole
**Language**    language/  document, problem, kinds, reader, schema   YAML with places -> classes -> errors, JSON Schema
                           container, cgroup, capabilities, names, arches     what an entry of a spec may say
                           cmdline, refused, booted    what boot loaders and runc refuse; what a booted node has
                           spec, check, describe                      a spec; what is wrong with it; its manual
                           runtime_spec, label, lookup, metadata, bundles, compat    an entry becomes a bundle
                           unseen                     files of a spec that no container sees
                parts      what a section gives: the words of plan, sections and formats
**Images**      oci/       references, registries, layouts, layers; nothing of what they say is believed
                recipe/    images out of Debian packages
                kernel/    a kernel's modules, cut and with their dependency data; what its file says of it
                programs/  whether what a node starts can start: ELF, shared libraries, execve
**Pictures of a tree**
                compress, inorder    named, reproducible compression; work of threads, taken in order
                writers/   one on-disk structure per module; limits: what Linux has room for
                readers/   the same, opened again
**Pipeline**    stages/    the functions that actions call
                sections/  one module per top-level key of a spec; the directory is the grammar
                formats/   one module per output; the directory is the list
                seen, hostfile, outside    what planning looks at on the host; what leaves the project
                lock, offline        what every name meant, when somebody last asked; whether anybody may be asked
                plan       a spec and its lock become actions
**Use**         project, publish         a folder with specs/; results become files
                written                  those files as they were written
                generation               which bytes this nodekiln makes, as one number
                qemu, nocloud, httpd     how a machine starts an output, and gets its keys; how a folder is served
                sizes/, verify/, compare/    what each byte is for; building again; what differs
                tasks/     what doit sees: planned and outline (plans, remembered), perform, state, reporter, progress;
                           reason, forecast, journal, drawing: why something runs, what a build would do, and did;
                           crash: an unexpected error, as one line
                commands/  one module per command
"""

__version__ = "0.1.0"
