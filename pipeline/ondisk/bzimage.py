"""The set-up header of an x86 kernel. Source: kernel, Documentation/arch/x86/boot.rst."""

from pipeline.ondisk import Structure

MAGIC = b"HdrS"
SECTOR = 512
OFFSET, VERSION_BASE = 0x1F1, 0x200
"""Offset of the header; offset that kernel_version counts from."""
HEADER = Structure(
    "<",
    setup_sects="B", root_flags="H", syssize="I", ram_size="H", vid_mode="H", root_dev="H", boot_flag="H", jump="H",
    header="4s", version="H", realmode_swtch="I", start_sys_seg="H", kernel_version="H", type_of_loader="B",
    loadflags="B", setup_move_size="H", code32_start="I", ramdisk_image="I", ramdisk_size="I", bootsect_kludge="I",
    heap_end_ptr="H", ext_loader_ver="B", ext_loader_type="B", cmd_line_ptr="I", initrd_addr_max="I",
    kernel_alignment="I", relocatable_kernel="B", min_alignment="B", xloadflags="H", cmdline_size="I",
    hardware_subarch="I", hardware_subarch_data="Q", payload_offset="I", payload_length="I",
)  # fmt: skip
