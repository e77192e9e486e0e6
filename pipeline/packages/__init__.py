"""Debian packages: names become exact packages for a lock, and locked packages become files.

apt           the host's apt and its repositories, queried without touching the host
debian        package names -> exact packages, for a lock           package    an exact package
resolve       the same, from indexes alone                          version    the order of versions
solution      apt's decisions                                       unmet      the reasons for which there is none
universe      the records of several indexes                        relations  `Depends: a (>= 1) | b, c`
fetch         stage: packages by hash                               -> NAME.deb
snapshot      Debian's archive of old packages
unavailable   locked packages that no repository has any more, and the command that replaces them
"""
