"""FAT16 and FAT32: boot sector, FSInfo, directory entries. Source: Microsoft FAT Specification (2005-08-30)."""

from pipeline.ondisk import Structure

BPB = Structure(
    "<",
    BS_jmpBoot=("3s", b"\xeb\x58\x90"), BS_OEMName="8s", BPB_BytsPerSec="H", BPB_SecPerClus="B", BPB_RsvdSecCnt="H",
    BPB_NumFATs=("B", 2), BPB_RootEntCnt="H", BPB_TotSec16="H", BPB_Media="B", BPB_FATSz16="H", BPB_SecPerTrk="H",
    BPB_NumHeads="H", BPB_HiddSec="I", BPB_TotSec32="I",
)  # fmt: skip
BPB32 = Structure(
    "<",
    BPB_FATSz32="I", BPB_ExtFlags="H", BPB_FSVer="H", BPB_RootClus="I", BPB_FSInfo="H", BPB_BkBootSec="H",
    BPB_Reserved="12s",
)  # fmt: skip
"""Follows BPB in FAT32."""
BS = Structure(
    "<",
    BS_DrvNum=("B", 0x80), BS_Reserved1="B", BS_BootSig=("B", 0x29), BS_VolID="I", BS_VolLab="11s", BS_FilSysType="8s",
)  # fmt: skip
"""Follows BPB, or BPB32; boot code follows it."""
FSINFO = Structure(
    "<",
    FSI_LeadSig=("I", 0x41615252), FSI_Reserved1="480s", FSI_StrucSig=("I", 0x61417272), FSI_Free_Count="I",
    FSI_Nxt_Free="I", FSI_Reserved2="12s", FSI_TrailSig=("I", 0xAA550000),
)  # fmt: skip
LEAST_CLUSTERS = {16: 4085, 32: 65525}
"""Minimum number of clusters of FAT16 and FAT32: that count alone decides which a volume is (section 3.5)."""
VOLUME_ID, DIRECTORY, ARCHIVE, LONG_NAME, LONG_NAME_MASK = 0x08, 0x10, 0x20, 0x0F, 0x3F
"""Attributes; LONG_NAME is that of a long name's entries, within the mask."""
DIR = Structure(
    "<",
    DIR_Name="11s", DIR_Attr="B", DIR_NTRes="B", DIR_CrtTimeTenth="B", DIR_CrtTime="H", DIR_CrtDate="H",
    DIR_LstAccDate="H", DIR_FstClusHI="H", DIR_WrtTime="H", DIR_WrtDate="H", DIR_FstClusLO="H", DIR_FileSize="I",
)  # fmt: skip
LAST_LONG_ENTRY = 0x40
LDIR = Structure(
    "<",
    LDIR_Ord="B", LDIR_Name1="10s", LDIR_Attr=("B", LONG_NAME), LDIR_Type="B", LDIR_Chksum="B", LDIR_Name2="12s",
    LDIR_FstClusLO="H", LDIR_Name3="4s",
)  # fmt: skip
