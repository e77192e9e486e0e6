"""Debian packages: names become exact packages for a lock, and locked packages become files.

sources       archives, suites and keys that a project names        mirrors    where archives are, and requests
host_apt      mirrors, proxies and passwords of the host            state      the user's folder for what is kept
openpgp       signatures                                            release    a Release file
archive_signature  who signed a suite, as a lock records it
suite         the newest Release file of a suite, verified          index      the Packages files of suites, verified
universe      the records of several indexes                        relations  `Depends: a (>= 1) | b, c`
request       the requests of recipes, all at once                  package    an exact package
resolve       names -> exact packages                               version    the order of versions
solution      apt's decisions                                       unmet      the reasons for which there is none
libraries     the dependencies that are shared libraries            error      messages for a person
fetch         stage: packages by hash                               -> NAME.deb
snapshot      the archive of old versions
copyright     licences of a package
installed     packages in the databases of a root, with their files
apk_version   the order of versions of Alpine's packages
bill          packages that a bill of materials by others names
unavailable   locked packages that no place has any more, and the command that replaces them
"""
