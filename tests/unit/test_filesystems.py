"""Which file system holds a folder, from what the kernel says of its mounts."""

import pytest

from tract.errors import NetworkFileSystemError
from tract.log.filesystems import NETWORK, file_system_of

MOUNTS = r"""
21 26 0:20 / /sys rw,nosuid - sysfs sysfs rw
26 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 26 0:30 / /home rw,relatime shared:5 master:1 - nfs4 server:/home rw,vers=4.2,addr=10.0.0.1
31 30 8:2 / /home/ann/local rw - xfs /dev/sdb1 rw
32 26 0:31 / /mnt/with\040space rw - cifs //server/a\040share rw
33 26 0:32 / /mnt/over rw - ext4 /dev/sdc1 rw
34 33 0:33 / /mnt/over rw - nfs server:/over rw
35 26 0:34 / /mnt/auto rw - autofs systemd-1 rw
36 35 0:35 / /mnt/auto rw - smb3 //server/auto rw
37 26 0:36 / /mnt/ssh rw - fuse.sshfs ann@server:/ rw
38 26 0:37 / /mnt/disk rw - fuseblk /dev/sdd1 rw
39 26 8:1 /var/data /mnt/bound rw - ext4 /dev/sda1 rw
40 26 0:38 / /mnt/back\134slash rw - 9p host rw
"""

HELD = {
    "/": "ext4",
    "/var/tmp": "ext4",
    "/home": "nfs4",
    "/home/ann": "nfs4",
    "/homework": "ext4",
    "/home/ann/local": "xfs",
    "/home/ann/local/deep/down": "xfs",
    "/home/ann/locality": "nfs4",
    "/mnt/with space/x": "cifs",
    "/mnt/with": "ext4",
    "/mnt/over/x": "nfs",
    "/mnt/auto/x": "smb3",
    "/mnt/ssh": "fuse.sshfs",
    "/mnt/disk": "fuseblk",
    "/mnt/bound/x": "ext4",
    "/mnt/back\\slash": "9p",
}


@pytest.mark.parametrize("folder", list(HELD))
def test_a_folder_is_on_the_mount_with_the_longest_path_that_leads_to_it(folder: str) -> None:
    assert file_system_of(folder, MOUNTS) == HELD[folder]


@pytest.mark.parametrize("mounts", ["", "\n", "nonsense", "1 2 3 4 /", "1 2 3 / / rw shared:1 no mark"])
def test_what_says_nothing_of_a_folder_is_no_file_system(mounts: str) -> None:
    assert file_system_of("/var", mounts) is None


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs"])
def test_what_several_machines_share_is_a_network_file_system(kind: str) -> None:
    assert kind in NETWORK


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "apfs", "tmpfs", "overlay", "fuseblk", "9p", "virtiofs"])
def test_what_one_machine_has_for_itself_is_none(kind: str) -> None:
    assert kind not in NETWORK


def test_the_refusal_says_why_and_what_to_do() -> None:
    error = NetworkFileSystemError("/home/ann/log.db", "nfs4")
    assert str(error) == (
        "/home/ann/log.db is on a network file system (nfs4), where two machines do not see each other's locks. "
        "Nothing was written; keep the store on a local disk."
    )
