"""
test_reach - the shapes of reach.c are found for what they are

Usage: test_reach.py REACH

Each shape by itself, in the default and other modes; and with MPALLOC_LEAK_POINTERS those whose
pointers are tagged or lie behind a start.
"""
import concurrent.futures
import os
import subprocess
import sys

reach = sys.argv[1]
failed = []
AT_ONCE = 4  # for most of the time each waits between two rounds


def run(name, **variables):
    env = {**os.environ, **variables}
    done = subprocess.run([reach, name], env=env, capture_output=True, text=True, timeout=60)
    how = " ".join(f"{key}={value}" for key, value in variables.items())
    if done.returncode != 0:
        failed.append(f"{name} {how}")
        print(f"{name} {how}: exit code {done.returncode}\n{done.stdout}{done.stderr}")


names = [line.split()[0] for line in
         subprocess.run([reach], capture_output=True, text=True, check=True).stdout.splitlines()]
modes = [{}, {"MPALLOC_HARDEN": "1"}, {"MPALLOC_SAMPLE": "exact"}, {"MPALLOC_SAMPLE": "off"},
         {"MPALLOC_GUARD": "64"}, {"MPALLOC_REGION": "off"}]
todo = [(name, mode) for mode in modes for name in names]
for name, how in (("interior", "interior"), ("interior_list", "plain,interior"),
                  ("interior_in_block", "interior"), ("tagged", "low"),
                  ("tagged_high", "high"), ("tagged_high", "low,high,16"),
                  ("behind_header", "16")):
    todo.append((name, {"MPALLOC_LEAK_POINTERS": how}))
with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
    list(pool.map(lambda one: run(one[0], **one[1]), todo))
print(f"{len(names)} shapes, {len(modes)} modes: {len(failed)} failed {' '.join(failed)}")
sys.exit(bool(failed) or not names)
