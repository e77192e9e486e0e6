"""Images out of Debian packages. No package's program is run, so any architecture is built on any machine.

recipe        a folder's build.yml -> Recipe
apt           the host's apt and its repositories, queried without touching the host
debian        package names -> exact packages, for a lock           version    the order of versions
fetch         stage: packages by hash                               -> NAME.deb
snapshot      Debian's archive of old packages
unavailable   locked packages that no repository has any more, and the command that replaces them
deb           stage: the packages' files                            -> NAME/files
globs         the selection of files
assemble      stage: one layer, config and manifest                 -> image
tag           its name in the store
actions       a Recipe and its locked packages -> these stages, as an action
"""
