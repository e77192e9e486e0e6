"""Debian packages: names become exact packages for a lock, and locked packages become files.

apt           the host's apt and its repositories, queried without touching the host
debian        package names -> exact packages, for a lock           package    an exact package
resolve       the same, from indexes alone                          version    the order of versions
solution      apt's decisions                                       unmet      the reasons for which there is none
universe      the records of several indexes                        relations  `Depends: a (>= 1) | b, c`
sources       archives, suites and keys that a project names        mirrors   where archives are, and requests
openpgp       signatures                                            host_apt  mirrors, proxies, passwords of the host
release       a Release file                                        suite     the newest one of a suite, verified
index         the Packages files of suites, verified                state     the user's folder for both
fetch         stage: packages by hash                               -> NAME.deb
snapshot      Debian's archive of old packages
unavailable   locked packages that no repository has any more, and the command that replaces them
"""
