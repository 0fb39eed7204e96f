"""Whether the screen is locked, as far as the system tells."""

import os
import shutil
import subprocess
import sys

__all__ = ["screen_locked"]


def screen_locked() -> bool:
    """On Linux with systemd, what its login manager says of this session; elsewhere False. Takes some milliseconds."""
    session = os.environ.get("XDG_SESSION_ID")
    if not sys.platform.startswith("linux") or not session or shutil.which("loginctl") is None:
        return False
    command = ["loginctl", "show-session", session, "-p", "LockedHint", "--value"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=1, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() == "yes"
