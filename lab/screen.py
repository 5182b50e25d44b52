# SPDX-License-Identifier: GPL-2.0
"""Messages and progress on stderr, as say() and progress() of lib.sh."""

import os
import sys
import time


class Screen:
    """On a terminal, progress is one line, which the next message replaces; in a
    log, a line every half a minute.  LAB_TITLE says what it is part of, LAB_QUIET=1
    turns it off."""

    def __init__(self):
        self.start = int(os.environ.get("LAB_START", time.time()))
        self.title = os.environ.get("LAB_TITLE", "")
        self.quiet = os.environ.get("LAB_QUIET") == "1"
        self.terminal = (sys.stderr.isatty()
                         and os.environ.get("TERM", "dumb") != "dumb")
        self.shown = time.monotonic()

    def write(self, text):
        sys.stderr.write(text)
        sys.stderr.flush()

    def clear(self):
        if self.terminal and not self.quiet:
            self.write("\r\033[K")

    def stamped(self, text):
        seconds = int(time.time()) - self.start
        return f"[{seconds // 60:2}:{seconds % 60:02}] {text}"

    def say(self, text):
        self.clear()
        self.write(self.stamped(text) + "\n")

    def progress(self, text):
        now = time.monotonic()
        if self.quiet or not self.terminal and now - self.shown < 30:
            return
        self.shown = now
        text = self.stamped(f"{self.title}: {text}" if self.title else text)
        self.clear()
        # Only a line that does not wrap can be cleared.
        self.write(f"\033[?7l{text}\033[?7h" if self.terminal else text + "\n")
