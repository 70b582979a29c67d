"""
recipes - programs that run to their end: started by the name of one below

Each is run in an empty folder with its files, without and with the library; exit code, output
and the files that it makes must be the same. Servers are in servers.py.
"""
import re
import sys

from harness import Session, sha256, sha256_file, sha256_tree
from recipes_languages import LANGUAGES
from recipes_tools import TOOLS


def lines_but(pattern, text):
    return "\n".join(line for line in text.splitlines() if not re.search(pattern, line))


def run(session, recipe, preload):
    folder = session.folder / ("preloaded" if preload else "plain")
    folder.mkdir()
    for name, text in recipe.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if recipe.prepare is not None:
        recipe.prepare(folder)
    facts = {}
    for number, command in enumerate(recipe.commands, 1):
        argv = command if isinstance(command, list) else ["bash", "-c", command]
        last = number == len(recipe.commands)
        result = session.run(argv, preload, cwd=folder, env=recipe.env, timeout=recipe.timeout,
            mapped=recipe.mapped if preload and last else ())
        session.expect(result, recipe.code if last else 0)
        text = lines_but(recipe.ignore, result.text) if recipe.ignore else result.text
        facts[f"output of {argv[0] if isinstance(command, list) else 'command'} {number}"] = (
            text.strip() if len(text) < 60 else f"{len(text)} bytes, {sha256(text.encode())}")
        if recipe.expected and last:
            session.check(f"the output has {recipe.expected!r}", recipe.expected in text,
                text[-300:] if recipe.expected not in text else "")
    for name in recipe.outputs:
        path = folder / name
        facts[name] = (None if not path.exists() else
            sha256_tree(path) if path.is_dir() else sha256_file(path))
        session.check(f"{name} is there", path.exists())
    return facts


name = sys.argv[1]
recipe = {**LANGUAGES, **TOOLS}[name]
with Session(name, needs=recipe.needs, packages=recipe.package) as session:
    session.note_version(recipe.version)
    session.both(lambda preload: run(session, recipe, preload))
