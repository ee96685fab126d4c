"""Files that appear whole or not at all, overwrite nothing, and are still there after a power cut."""

import errno
import os
from pathlib import Path

NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def give_name(made: Path, name: Path) -> None:
    """Let a finished and synced file be found as `name`; FileExistsError: something stands there."""
    try:
        os.link(made, name)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # FAT and its kin: the name is taken first, so that here, too, one of two gets it and the other is refused.
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            made.replace(name)
        except OSError:
            name.unlink()
            raise
    else:
        made.unlink()
    sync_folder(name.parent)


def make_folder(folder: Path) -> None:
    """With those above it that are missing; each is known to the disk before anything is put into it."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Syncing a file keeps what is in it; its name is kept by the folder."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno != errno.EINVAL:  # network and FUSE file systems that know no such thing
            raise
    finally:
        os.close(opened)
