"""What a child process may not touch: Landlock rules (Linux 5.13), set by a process for itself. Starts nothing, reads no setting.

A process so confined reads everything that its user may read but what is hidden, and writes only where it is told. It cannot
look into processes outside (Landlock denies it ptrace, and so /proc/PID/environ and /proc/PID/mem), and from Linux 6.12 on it
cannot signal them. If its user is root, that is one without capabilities (capabilities(7)) from its next exec on. What is not
confined: the network, and sockets in the file system. See landlock(7).
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Collection

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # system calls, the same on every architecture
VERSION_FLAG, RULE_PATH_BENEATH = 1, 1
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 24, 38, 47, 4  # prctl(2)
CAPABILITIES = range(64)
CAPABILITY_VERSION = 0x20080522  # capset(2)
SCOPES = 0b11  # abstract Unix sockets, signals
SCOPES_ABI = 6

READ = 0b1101  # execute, read a file, list a folder
FOR_FILES = 0xC007  # of all rights those that a rule for a file may have: execute, write, read, truncate, device commands
RIGHTS_OF_ABI = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF}  # refer since 2, truncate since 3
ALL_RIGHTS = 0xFFFF  # device commands since 5; later versions add what we do not ask for

LIBC = ctypes.CDLL(None, use_errno=True)


def find_abi() -> int:
    """The version of Landlock that this kernel offers; 0 if it has none, or it is switched off."""
    if not hasattr(LIBC, "prctl"):  # not Linux
        return 0
    return max(0, LIBC.syscall(CREATE_RULESET, None, 0, VERSION_FLAG))


def confine_signals() -> bool:
    """From now on this process and its descendants can signal only each other. False if the kernel cannot do that."""
    if find_abi() < SCOPES_ABI:
        return False
    enter(create_ruleset(0, SCOPES))
    return True


def confine_files(own: Collection[str], writable: Collection[str], fixed: Collection[str], hidden: Collection[str]) -> None:
    """From now on this process and its descendants reach nothing below `hidden`, but for what is their `own`, wherever it is.

    They can write there and below `writable` only; not below `fixed`, which they may read. Paths are absolute and resolved.
    Raises OSError. A rule names what exists: what is later made beside something hidden or fixed stays out of reach.
    """
    abi = find_abi()
    every = RIGHTS_OF_ABI.get(abi, ALL_RIGHTS)
    ruleset = create_ruleset(every, SCOPES if abi >= SCOPES_ABI else 0)
    allow_below(ruleset, "/", READ, hidden)
    for path in writable:
        allow_below(ruleset, path, every, (*hidden, *fixed))
    for path in own:
        allow(ruleset, path, every)
    enter(ruleset)


def drop_capabilities() -> None:
    """Give up all capabilities, now and for whatever is run from here on. Without any, this changes nothing."""
    for number in CAPABILITIES:
        LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header, nothing = struct.pack("=Ii", CAPABILITY_VERSION, 0), bytes(24)
    check(LIBC.capset(header, nothing))


def allow_below(ruleset: int, path: str, rights: int, but: Collection[str]) -> None:
    """Allow `rights` on a path and all below it, leaving out `but`. Around what is left out each neighbour gets a rule."""
    if any(is_below(path, other) for other in but):
        return
    if not any(is_below(other, path) for other in but):
        allow(ruleset, path, rights)
        return
    try:
        names = os.listdir(path)
    except OSError:
        return  # not readable for us, so not for the child
    for name in names:
        inner = os.path.join(path, name)
        if not os.path.islink(inner):
            allow_below(ruleset, inner, rights, but)


def allow(ruleset: int, path: str, rights: int) -> None:
    """One rule. A path that has gone, or cannot be opened, gets none."""
    try:
        target = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            rights &= FOR_FILES
        rule = struct.pack("=Qi", rights, target)
        LIBC.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0)  # where it fails, the path stays out of reach
    finally:
        os.close(target)


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def create_ruleset(files: int, scopes: int) -> int:
    """A set of rules that denies these rights until a rule allows them."""
    attributes = struct.pack("=QQQ", files, 0, scopes) if scopes else struct.pack("=Q", files)
    return check(LIBC.syscall(CREATE_RULESET, attributes, len(attributes), 0))


def enter(ruleset: int) -> None:
    """Put the rules in force, for good."""
    check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    check(LIBC.syscall(RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def check(answer: int) -> int:
    """A system call's answer. Raises OSError if it failed."""
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
