"""Programs: static checks that the programs of an image can start.

elf reads the headers that the kernel and the dynamic linker use; libraries searches shared libraries as the linker
does; execve follows execve(2) to the last file that a program needs. They depend on trees and bytes, not on a store.
"""
