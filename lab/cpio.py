# SPDX-License-Identifier: GPL-2.0
"""An initramfs: a newc archive, compressed, the same bytes every time."""

import gzip
import os


class Archive:
    """What goes into it, directories first."""

    def __init__(self):
        self.entries = []
        self.folders = set()

    def folder(self, path):
        """A directory and those above it."""
        if path and path not in self.folders:
            self.folder(os.path.dirname(path))
            self.folders.add(path)
            self.entries.append((path, 0o40755, b"", (0, 0)))

    def data(self, path, data, mode=0o100755):
        """A file with that content."""
        self.folder(os.path.dirname(path))
        self.entries.append((path, mode, data, (0, 0)))

    def file(self, path, source, mode=0o100755):
        """A file with the content of another."""
        with open(source, "rb") as f:
            self.data(path, f.read(), mode)

    def device(self, path, major, minor):
        """A character device."""
        self.folder(os.path.dirname(path))
        self.entries.append((path, 0o20600, b"", (major, minor)))

    def compressed(self):
        """The archive, as a kernel takes it."""
        out = bytearray()
        for ino, (path, mode, data, rdev) in enumerate(
                [*self.entries, ("TRAILER!!!", 0, b"", (0, 0))], 1):
            name = path.encode() + b"\0"
            fields = (ino, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev,
                      len(name), 0)
            out += b"070701" + b"".join(b"%08X" % f for f in fields) + name
            out += b"\0" * (-len(out) % 4)
            out += data + b"\0" * (-len(data) % 4)
            out += b"\0" * (-len(out) % 4)
        return gzip.compress(bytes(out), 1, mtime=0)
