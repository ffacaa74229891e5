"""The guard against server-side request forgery (SSRF): what is on the public internet.

Two questions, one rule: ``is_private`` judges a host as it is written, ``is_public`` an address that a name resolved to.
"""

from __future__ import annotations

import ipaddress
import re

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")  # of a network's own: may lead anywhere inside it
_LOCAL_NAMES = (".localhost", ".local", ".internal", ".lan", ".home", ".corp", ".intranet", ".home.arpa")


def is_private(host: str) -> bool:
    """True for a host off the public internet; looks up no name."""
    host = host.lower().rstrip(".").partition("%")[0]
    try:
        return not _is_global(ipaddress.ip_address(host))
    except ValueError:
        # Resolvers also read 127.1, 0x7f.1 and 2130706433 as numbers: what ends like a number is no public name.
        last = host.rpartition(".")[2]
        numeric = last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last) is not None
        return numeric or "." not in host or host.endswith(_LOCAL_NAMES)


def is_public(address: str) -> bool:
    """True for an IP address, as a resolver returns it, on the public internet."""
    return _is_global(ipaddress.ip_address(address.partition("%")[0]))


def _is_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Judge an address, or the IPv4 address that it embeds."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.teredo or address.is_site_local or address in _LOCAL_NAT64:
            return False
        address = _embedded(address) or address
    return address.is_global and not address.is_multicast


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address behind a mapped, compatible, 6to4 or NAT64 address."""
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address in _NAT64 or int(address) >> 32 == 0:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
