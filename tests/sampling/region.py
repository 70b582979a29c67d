"""What a region says of sampling, read without the tools: include/mpalloc/region.h."""

import collections
import math
import struct

TOTALS, COMPONENTS, MODULES, SAMPLING, FRAMES, SITES, SAMPLES, NAMES = 2, 4, 9, 12, 13, 14, 15, 16
EXACT, OFF, NO_MODULE = 0, 2**64 - 1, 2**32 - 1

Sampling = collections.namedtuple("Sampling", (
    "seq interval wanted doublings changes allocated freed cost_ns memory memory_max frames "
    "sites samples names frames_refused sites_refused samples_refused names_refused truncated "
    "lost peak_number peak_ns peak_bytes unlisted").split())
Site = collections.namedtuple("Site", (
    "seq frame component class_number operation thread flags first_ns heaviest_bytes "
    "heaviest_blocks peak_number last_ns allocated_samples allocated_blocks allocated_bytes "
    "allocated_requested allocated_blocks_variance allocated_bytes_variance freed_samples "
    "freed_blocks freed_bytes freed_requested freed_blocks_variance freed_bytes_variance "
    "freed_lifetime_ns peak_samples peak_blocks peak_bytes peak_bytes_variance").split())
Sample = collections.namedtuple(
    "Sample", "seq is_live site bytes requested interval born_ns thread_id")
Totals = collections.namedtuple("Totals", (
    "allocated_blocks freed_blocks allocated_bytes freed_bytes live_blocks live_bytes "
    "live_peak published").split())


class Region:
    def __init__(self, path):
        self.file = open(path, "rb")
        head = self.file.read(4096)
        count, = struct.unpack_from("<I", head, 24)
        self.sections = {}
        for i in range(count):
            ident, _, *rest = struct.unpack_from("<IIQQQ", head, 32 + 32 * i)
            self.sections[ident] = rest
        self.sampling = Sampling(*struct.unpack("<22Qd1Q", self.bytes(SAMPLING, 0, 1, 192)))
        totals = self.bytes(TOTALS, 0, 1)
        self.totals = Totals(*struct.unpack_from("<7Q", totals, 32),
                             *struct.unpack_from("<Q", totals, 24))

    def close(self):
        self.file.close()

    def bytes(self, section, first, count, length=None):
        offset, stride, room = self.sections[section]
        assert first + count <= room, (section, first, count, room)
        self.file.seek(offset + first * stride)
        return self.file.read(length or count * stride)

    def records(self, section, count, kind, form):
        stride = self.sections[section][1]
        data = self.bytes(section, 0, count)
        return [kind(*struct.unpack_from(form, data, i * stride)) for i in range(count)]

    def sites(self):
        return self.records(SITES, self.sampling.sites, Site, "<Q2I4HQ2dQ8x2Q5d8xQ6d8xQ3d")

    def live(self):
        all_of_them = self.records(SAMPLES, self.sampling.samples, Sample, "<QQIxxxx5Q")
        return [s for s in all_of_them if s.is_live]

    def texts(self, section, count, length, at=0):
        stride = self.sections[section][1]
        data = self.bytes(section, 0, count)
        return [data[i * stride + at:i * stride + at + length].split(b"\0")[0].decode()
                for i in range(count)]

    def names(self):
        return self.texts(NAMES, self.sampling.names, 32)

    def components(self, count):
        return self.texts(COMPONENTS, count, 96)

    def modules(self, count=512):
        stride = self.sections[MODULES][1]
        return [p for p in self.texts(MODULES, count, 512, stride - 512) if p]

    def stack(self, number):
        """(module, offset) of each frame, the innermost first."""
        frames = []
        offset, stride, _ = self.sections[FRAMES]
        while number != 0:
            assert number < self.sampling.frames, number
            self.file.seek(offset + number * stride)
            number, module, at = struct.unpack("<IIQ", self.file.read(16))
            frames.append((module, at))
        return frames

    def sums(self):
        sites = self.sites()
        total = lambda name: math.fsum(getattr(s, name) for s in sites)
        return Sums(
            samples=sum(s.allocated_samples for s in sites),
            live_samples=sum(s.allocated_samples - s.freed_samples for s in sites),
            allocated=total("allocated_bytes"), allocated_variance=total("allocated_bytes_variance"),
            live=total("allocated_bytes") - total("freed_bytes"),
            live_variance=total("allocated_bytes_variance") - total("freed_bytes_variance"),
            live_blocks=total("allocated_blocks") - total("freed_blocks"),
            blocks=total("allocated_blocks"),
            peak=math.fsum(s.peak_bytes if s.peak_number == self.sampling.peak_number
                           else s.allocated_bytes - s.freed_bytes for s in sites))


Sums = collections.namedtuple("Sums", (
    "samples live_samples allocated allocated_variance live live_variance live_blocks blocks "
    "peak").split())
