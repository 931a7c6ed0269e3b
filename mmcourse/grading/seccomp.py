"""System calls that no exercise needs, refused to the learner's process for good.

A list of what is forbidden, not of what is allowed: torch and IPython change what they call.
It closes what namespaces and limits leave open: sockets of the internet, namespaces and mounts
of the learner's own, looking into other processes, and memory that counts as nobody's (memfd,
System V shared memory). Filters are for x86-64 and AArch64; elsewhere there is none.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

# name: number on x86-64, number on AArch64
REFUSED = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsmount": (432, 432), "mount_setattr": (442, 442), "unshare": (272, 97), "setns": (308, 268),
    "open_by_handle_at": (304, 265), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "shmget": (29, 194), "msgget": (68, 186), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "bpf": (321, 280), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "perf_event_open": (298, 241), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106),
}  # fmt: skip
CLONE, CLONE3, SOCKET = (56, 220), (435, 435), (41, 198)
MACHINES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}
NEW_NAMESPACES = 0x7E02_0000
X32 = 0x4000_0000
UNIX = 1

# Offsets in `struct seccomp_data`, and the few instructions that are needed.
NUMBER, MACHINE, FIRST_ARGUMENT = 0, 4, 16
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, REFUSE = 0x7FFF_0000, 0x0005_0000
SET_SECCOMP, FILTER, SET_NO_NEW_PRIVILEGES = 22, 2, 38


def refuse_calls() -> bool:
    """Installs the filter for this process and its children; False where it cannot be."""
    program = assemble(os.uname().machine)
    if not program:
        return False
    buffer = ctypes.create_string_buffer(program, len(program))
    whole = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return libc.prctl(SET_SECCOMP, FILTER, ctypes.c_char_p(whole), 0, 0) == 0


def assemble(machine: str) -> bytes:
    """The filter's program, or nothing for a machine that is not known."""
    if machine not in MACHINES:
        return b""
    column, code = MACHINES[machine]
    denied, absent = REFUSE | errno.EPERM, REFUSE | errno.ENOSYS
    steps = [(LOAD, 0, 0, MACHINE), (EQUAL, 1, 0, code), (RETURN, 0, 0, denied)]
    steps += [(LOAD, 0, 0, NUMBER)]
    steps += [(AT_LEAST, 0, 1, X32), (RETURN, 0, 0, denied)]
    for numbers in REFUSED.values():
        steps += [(EQUAL, 0, 1, numbers[column]), (RETURN, 0, 0, denied)]
    # glibc falls back to clone, whose flags can be read.
    steps += [(EQUAL, 0, 1, CLONE3[column]), (RETURN, 0, 0, absent)]
    steps += [(EQUAL, 0, 4, CLONE[column]), (LOAD, 0, 0, FIRST_ARGUMENT)]
    steps += [(ANY_BIT, 0, 1, NEW_NAMESPACES), (RETURN, 0, 0, denied), (RETURN, 0, 0, ALLOW)]
    steps += [(EQUAL, 0, 3, SOCKET[column]), (LOAD, 0, 0, FIRST_ARGUMENT)]
    steps += [(EQUAL, 1, 0, UNIX), (RETURN, 0, 0, denied), (RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)
