"""Programs: whether what a node starts can start, as far as the files of its image tell.

elf reads what the kernel and the dynamic linker read of a file; libraries looks for shared libraries as the linker
does; starting follows execve(2) from a path to the last file that it needs. They know trees and bytes, and no store.
"""
