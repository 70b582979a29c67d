"""Objects, strings and dictionaries: what an interpreter of objects asks malloc for."""
import hashlib
import json
import sys

ROUNDS = int(sys.argv[1])


class Node:
    def __init__(self, name, value):
        self.name, self.value, self.children = name, value, []


def build(depth, number):
    node = Node(f"node-{number}", number * 1.5)
    if depth > 0:
        node.children = [build(depth - 1, number * 3 + i) for i in range(3)]
    return node


def flatten(node):
    return {"name": node.name, "value": node.value,
        "children": [flatten(child) for child in node.children]}


digest = hashlib.sha256()
kept = {}
for turn in range(ROUNDS):
    text = json.dumps(flatten(build(6, turn)))
    words = text.replace('"', " ").split()
    count = {}
    for word in words:
        count[word] = count.get(word, 0) + 1
    for word, times in sorted(count.items())[turn % 7::7]:
        kept[word[::-1]] = [times] * 4 + [word + str(turn)]
    if len(kept) > 20000:
        kept = {key: kept[key] for key in sorted(kept)[::2]}
    digest.update(json.dumps(json.loads(text), sort_keys=True).encode())
digest.update(repr(sorted(kept.items())).encode())
print(digest.hexdigest())
