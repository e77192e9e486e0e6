"""Debian packages: names become exact packages for a lock, and locked packages become files.

apt           the host's apt and its repositories, queried without touching the host
debian        package names -> exact packages, for a lock           version    the order of versions
fetch         stage: packages by hash                               -> NAME.deb
snapshot      Debian's archive of old packages
unavailable   locked packages that no repository has any more, and the command that replaces them
"""
