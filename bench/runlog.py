"""runlog - raw runs, each a line of JSON, so that an interrupted comparison can go on

Owns: the file of --resume; what must be equal for a run in it to count.
"""
import json
import os
import pathlib
import re

from benchlib import Failure

INPUTS_FOLDER = re.compile(r"\S*/mpalloc-bench-\w+/")


class Log:
    """Runs by name, allocator and round; path None: kept nowhere."""

    def __init__(self, path):
        self.path, self.runs = path, {}
        if path and os.path.exists(path):
            text = pathlib.Path(path).read_text()
            whole = text[:text.rfind("\n") + 1]
            for number, line in enumerate(whole.splitlines(), 1):
                try:
                    record = json.loads(line)
                    self.runs[self.key_of(record)] = record
                except (ValueError, KeyError, TypeError):
                    raise Failure(f"{path}:{number} is not a run; remove the file or "
                        "name another with --resume") from None
            if whole != text:  # the last line is torn
                if not text[len(whole):].startswith('{"name": "'[:len(text) - len(whole)]):
                    raise Failure(f"{path} is no log of runs; name another with --resume")
                os.truncate(path, len(whole.encode()))

    @staticmethod
    def key_of(record):
        return record["name"], record["allocator"], record["round"]

    @staticmethod
    def comparable(record, field):
        """Inputs of real programs are made anew, the same, in a folder of each comparison."""
        if field != "command":
            return record[field]
        return [INPUTS_FOLDER.sub("INPUTS/", word) for word in record[field]]

    def find(self, record):
        """The earlier run of the same thing. A failed one is tried again."""
        old = self.runs.get(self.key_of(record))
        if old is None or "failed" in old:
            return None
        for field in ("command", "sha256", "variables", "workloads_sha256"):
            if self.comparable(old, field) != self.comparable(record, field):
                raise Failure(f"{self.path} has runs with another {field} of "
                    f"{record['allocator']}; remove it or name another with --resume")
        return old

    def add(self, record):
        self.runs[self.key_of(record)] = record
        if self.path:
            with open(self.path, "a") as f:
                f.write(json.dumps(record) + "\n")
