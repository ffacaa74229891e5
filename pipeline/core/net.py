"""Which addresses are safe to fetch: the guard against server-side request forgery (SSRF)."""

from __future__ import annotations

import ipaddress
import re

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Return True for an IP address of the public internet; what stands for an IPv4 address is judged by that one."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        low = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        teredo = found.teredo[1] if found.teredo else None
        inner = found.ipv4_mapped or found.sixtofour or teredo
        if inner is None and (int(found) >> 32 == 0 or found in _NAT64):
            inner = low
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return found.is_global and not found.is_multicast


_LOCAL_NAMES = (".localhost", ".local", ".internal", ".lan", ".home", ".corp", ".intranet", ".home.arpa")


def is_private(host: str) -> bool:
    """True for hosts that are not on the public internet, whichever way the number is written. No name is looked up."""
    host = host.lower().rstrip(".").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # Resolvers also read 127.1, 0x7f.1 and 2130706433 as numbers: what ends like a number is no public name.
        last = host.rpartition(".")[2]
        numeric = last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last) is not None
        return numeric or "." not in host or host.endswith(_LOCAL_NAMES)
    inner = _inner(address)
    return not (inner or address).is_global or (inner or address).is_multicast


def _inner(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 one stands for: mapped, compatible, 6to4 or NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address in ipaddress.ip_network("64:ff9b::/96") or (1 < int(address) < 1 << 32):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
