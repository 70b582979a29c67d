"""Profiles for make_profile: stacks in the code of real files, with values made by hand."""

import os
import re
import subprocess

VALUES = ("allocated_blocks", "allocated_bytes", "live_blocks", "live_bytes", "peak_blocks",
          "peak_bytes", "short_blocks", "short_bytes")
NO_MODULE = 0xFFFFFFFF


def output(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True,
                          check=True).stdout


class Module:
    """A file with code: its segments as the region has them, and its calls."""

    def __init__(self, path, number):
        self.path = os.path.realpath(path)
        self.number = number
        headers = [(int(v, 16), int(o, 16), int(m, 16), flags) for o, v, m, flags in re.findall(
            r"LOAD\s+(0x\w+) (0x\w+) 0x\w+ 0x\w+ (0x\w+) ([RWE ]{3})",
            output("readelf", "-lW", path))]
        self.low = min(h[0] for h in headers)
        self.bytes = max(h[0] + h[2] for h in headers) - self.low
        self.segments = [(v - self.low, m, o, 4 * ("R" in f) + 2 * ("W" in f) + ("E" in f))
                         for v, o, m, f in headers]
        self.build_id = re.search(r"Build ID: (\w+)", output("readelf", "-n", path))[1]
        self.code = output("objdump", "-d", "--no-show-raw-insn", path)

    def call(self, function, target):
        """Where `function` calls `target`: the offset of the last byte of the call."""
        body = re.search(rf"(?ms)^\w+ <{function}>:\n(.*?)\n\n", self.code + "\n\n")[1]
        found = re.search(rf"\s(?:call|bl)\w*\s+\w+ <{target}(?:@plt)?>\n\s*(\w+):", body)
        return int(found[1], 16) - 1 - self.low

    def names(self, offset):
        """[(function, file, line)] at an offset, the innermost first."""
        lines = output("addr2line", "-fie", self.path, hex(self.low + offset)).splitlines()
        found = []
        for function, place in zip(lines[::2], lines[1::2]):
            file, line = place.split()[0].rsplit(":", 1)
            found.append((function, os.path.basename(file), int(line)))
        return found


class Description:
    def __init__(self, interval=524288, stacks=True, command="prog --all", exe="/usr/bin/prog"):
        self.lines = [("interval", interval), ("stacks", int(stacks)), ("command", command),
                      ("exe", exe)]
        self.modules = []
        self.frames = {}
        self.samples = []

    def module(self, module):
        self.modules.append(module)
        self.lines.append(("module", module.path, module.build_id, module.bytes))
        for segment in module.segments:
            self.lines.append(("segment", *segment))

    def frame(self, function, file="", line=0, module=NO_MODULE, offset=0, inlined=0):
        key = (function, file, line, module, offset, inlined)
        if key not in self.frames:
            self.frames[key] = len(self.frames)
            self.lines.append(("frame", *key))
        return self.frames[key]

    def code(self, module, offset, named=True):
        """Numbers of the frames at an offset, the outermost first."""
        if not named:
            name = f"{os.path.basename(module.path)}+{offset:#x}"
            return [self.frame(name, "", 0, module.number, offset)]
        outwards = module.names(offset)
        return [self.frame(*name, module.number, offset, int(name != outwards[-1]))
                for name in reversed(outwards)]

    def sample(self, frames, component="(untagged)", operation="", thread="", block=64,
               lifetime=0, samples=1, **values):
        self.lines.append(("sample", component, operation, thread, block, 0, samples, lifetime))
        for number, name in enumerate(VALUES):
            value = values.get(name, 0)
            self.lines.append(("value", number, value, value * 9 // 10, value * 11 // 10))
        if frames:
            self.lines.append(("stack", *frames))
        self.samples.append({"frames": frames, "component": component, **values})

    def text(self):
        return "".join("\t".join(map(str, line)) + "\n" for line in self.lines)

    def sum(self, value):
        return sum(s.get(value, 0) for s in self.samples)
