"""Recipes: images out of Debian packages. Nothing of them is run, so any architecture can be made on any machine.

recipe     a folder's build.yml -> Recipe: what is wanted
apt        the host's apt, asked without touching the host
debian     names -> the packages that they come to; what a lock holds
version    which of two versions is the older
places     the repositories of the host's apt                snapshot   Debian's archive of old packages
fetch      stage: those packages, by hash                    -> NAME.deb
lost       what cannot be had any more, and what mends that
deb        stage: what is in them                            -> NAME/files
globs      which of that is wanted
assemble   stage: one layer, config and manifest             -> image
tag        its name in the store
actions    a Recipe and its locked packages -> these stages, as an action
"""
