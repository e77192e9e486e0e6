"""Recipes: images out of Debian packages. Nothing of them is run, so any architecture can be made on any machine.

recipe     a folder's build.yml -> Recipe: what is wanted
apt        the host's apt, asked without touching the host
debian     names -> the packages that they come to; what a lock holds
version    which of two versions is the older
repositories  those of the host's apt
snapshot      Debian's archive of old packages
fetch      stage: those packages, by hash                    -> NAME.deb
unavailable   locked packages that no repository has, and the command that replaces them
deb        stage: what is in them                            -> NAME/files
globs      which of that is wanted
assemble   stage: one layer, config and manifest             -> image
tag        its name in the store
actions    a Recipe and its locked packages -> these stages, as an action
"""
