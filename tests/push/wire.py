"""Protocol buffers by the numbers of fields alone, which are written here once more.

The tables are those of opentelemetry-proto 1.11 (metrics v1, profiles v1development): what
mpalloc writes is decoded by them, and not by the file that it is made from.
"""

import struct

KEY_VALUE = {1: ("key", str), 2: ("value", {
    1: ("stringValue", str), 2: ("boolValue", bool), 3: ("intValue", int),
    4: ("doubleValue", float)})}
RESOURCE = {1: ("attributes", [KEY_VALUE])}
SCOPE = {1: ("name", str), 2: ("version", str)}
TYPE = {1: ("typeStrindex", int), 2: ("unitStrindex", int)}
PROFILE = {
    1: ("sampleType", TYPE),
    2: ("samples", [{1: ("stackIndex", int), 2: ("attributeIndices", [int]),
                     4: ("values", [int])}]),
    3: ("timeUnixNano", "fixed64"), 4: ("durationNano", int), 5: ("periodType", TYPE),
    6: ("period", int)}
DICTIONARY = {
    1: ("mappingTable", [{1: ("memoryStart", int), 2: ("memoryLimit", int),
                          3: ("fileOffset", int), 4: ("filenameStrindex", int),
                          5: ("attributeIndices", [int])}]),
    2: ("locationTable", [{1: ("mappingIndex", int), 2: ("address", int),
                           3: ("lines", [{1: ("functionIndex", int), 2: ("line", int)}])}]),
    3: ("functionTable", [{1: ("nameStrindex", int), 2: ("systemNameStrindex", int),
                           3: ("filenameStrindex", int)}]),
    4: ("linkTable", [{1: ("traceId", bytes), 2: ("spanId", bytes)}]),
    5: ("stringTable", [str]),
    6: ("attributeTable", [{1: ("keyStrindex", int), 2: KEY_VALUE[2],
                            3: ("unitStrindex", int)}]),
    7: ("stackTable", [{1: ("locationIndices", [int])}])}
PROFILES = {
    1: ("resourceProfiles", [{1: ("resource", RESOURCE),
                              2: ("scopeProfiles", [{1: ("scope", SCOPE),
                                                     2: ("profiles", [PROFILE])}])}]),
    2: ("dictionary", DICTIONARY)}


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def signed(value):
    return value - (1 << 64) if value >> 63 else value


def scalar(kind, wire, raw):
    if kind == "fixed64":
        assert wire == 1, wire
        return struct.unpack("<Q", raw)[0]
    if kind is float:
        assert wire == 1, wire
        return struct.unpack("<d", raw)[0]
    if kind in (int, bool):
        assert wire == 0, wire
        return kind(signed(raw))
    assert wire == 2, wire
    return raw.decode() if kind is str else bytes(raw)


def decode(data, table):
    """{name: value} of a message; a field that the table has not is an error."""
    found, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        wire = tag & 7
        if wire == 0:
            raw, at = varint(data, at)
        elif wire == 1:
            raw, at = data[at:at + 8], at + 8
        elif wire == 2:
            length, at = varint(data, at)
            raw, at = data[at:at + length], at + length
            assert len(raw) == length
        else:
            raise AssertionError(f"wire type {wire}")
        name, kind = table[tag >> 3]
        if isinstance(kind, dict):
            found[name] = decode(raw, kind)
        elif not isinstance(kind, list):
            found[name] = scalar(kind, wire, raw)
        elif isinstance(kind[0], dict):
            found.setdefault(name, []).append(decode(raw, kind[0]))
        elif kind[0] is int and wire == 2:  # packed
            inner = 0
            while inner < len(raw):
                value, inner = varint(raw, inner)
                found.setdefault(name, []).append(signed(value))
        else:
            found.setdefault(name, []).append(scalar(kind[0], wire, raw))
    return found
