"""Which of this machine's networks leads to an address."""

import contextlib
import socket
import struct
import sys

__all__ = ["interface_towards"]

_SIOCGIFADDR = 0x8915  # netdevice(7): the IPv4 address of an interface
_NAME, _ADDRESS = 256, slice(20, 24)  # bytes of the request, and where the answer lies in it


def interface_towards(address: str, port: int) -> str | None:
    """The name of the interface (``eth0``) that packets to an IPv4 address leave by; None where that cannot be told.

    Linux only.
    """
    if sys.platform != "linux":
        return None
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, port))  # sends nothing, but chooses the way
            own = probe.getsockname()[0]
            names = [name for _, name in socket.if_nameindex()]
        except OSError:
            return None
        for name in names:
            with contextlib.suppress(OSError):  # one without an IPv4 address
                answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack(f"{_NAME}s", name.encode()))
                if socket.inet_ntoa(answer[_ADDRESS]) == own:
                    return name
    return None
