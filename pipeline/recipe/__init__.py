"""Images out of Debian packages. No package's program is run, so any architecture is built on any machine.

recipe        a folder's build.yml -> Recipe
copying       a recipe, copied into a project
deb           stage: the packages' files                            -> NAME/files
globs         the selection of files
layout        the places of packages' files, the same for every suite
needs         libraries, interpreters and links that the selected files need
assemble      stage: one layer, config and manifest                 -> image
ownership     stage: the package of each path of the image
tag           its name in the store
actions       a Recipe and its locked packages -> these stages, as an action
"""
