"""Whether a folder is on a network file system, where no store may be.

The processes of a store share memory and locks, which two machines cannot.
Linux is asked through /proc/self/mountinfo, macOS through statfs; anywhere
else every folder passes. Imports nothing of ours.
"""

import os
import re
import sys
from pathlib import Path

if sys.platform == "darwin":
    import ctypes

MOUNTS = Path("/proc/self/mountinfo")
NETWORK = frozenset({
    "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fhgfs", "ftp", "gfs", "gfs2", "glusterfs", "gpfs", "lustre",
    "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs", "webdav",
    "fuse.ceph-fuse", "fuse.curlftpfs", "fuse.davfs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys", "fuse.gvfsd-fuse",
    "fuse.juicefs", "fuse.mount-s3", "fuse.rclone", "fuse.s3fs", "fuse.smbnetfs", "fuse.sshfs",
})  # fmt: skip
"""File systems that several machines can have open, by the names the kernels give them.

A folder that a virtual machine shares with its host (9p, virtiofs) is not
among them: sandboxes keep everything on one, and only they use it.
"""


def network_file_system(folder: str) -> str | None:
    """Return the name of the network file system that holds a folder, or None if it is a local one.

    What cannot be found out passes for local.

    Args:
        folder: Its real path.
    """
    try:
        found = _kind(folder)
    except OSError:
        return None
    return found if found in NETWORK else None


def file_system_of(folder: str, mounts: str) -> str | None:
    """Return the name of the file system that holds a folder, or None if no mount does.

    Args:
        folder: Its real path.
        mounts: What /proc/self/mountinfo says; see proc_pid_mountinfo(5).
    """
    best, found = -1, None
    for line in mounts.split("\n"):
        # mount id, parent, device, root, mount point, options, optional
        # fields, "-", file system, source, options of the file system
        fields = line.split(" ", 5)
        if len(fields) < 6:
            continue
        point = _unescaped(fields[4])
        # Of two mounts on one folder the later one hides the earlier.
        if len(point) >= best and _is_inside(folder, point):
            best, found = len(point), line.partition(" - ")[2].partition(" ")[0] or None
    return found


def _is_inside(folder: str, point: str) -> bool:
    return folder == point or folder.startswith(point.rstrip("/") + "/")


def _unescaped(point: str) -> str:
    return point if "\\" not in point else re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point)


def _kind(folder: str) -> str | None:
    kind = None
    if sys.platform == "linux":
        kind = file_system_of(folder, MOUNTS.read_text("utf-8", "surrogateescape"))
    elif sys.platform == "darwin":
        # struct statfs of sys/mount.h: f_fstypename stands at byte 72.
        room = ctypes.create_string_buffer(4096)
        library = ctypes.CDLL(None)
        statfs = getattr(library, "statfs$INODE64", None) or library.statfs
        if statfs(os.fsencode(folder), room) == 0:
            kind = room.raw[72:88].partition(b"\0")[0].decode("ascii", "replace")
    return kind
