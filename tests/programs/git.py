"""git - clone, fsck, repack and log of a repository that is made on the fly"""
import random

from harness import Session, sha256, sized

COMMITS = sized(200, 1500)
FILES = 400


def history():
    """A stream for git fast-import, the same at every run."""
    rng = random.Random(3)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randrange(2, 12)))
             for _ in range(2000)]
    bodies = {}
    for commit in range(1, COMMITS + 1):
        text = " ".join(rng.choices(words, k=8))
        yield f"commit refs/heads/main\nmark :{commit}\n"
        yield f"committer A <a@example.org> {1600000000 + commit * 60} +0000\n"
        yield f"data {len(text)}\n{text}\n"
        if commit > 1:
            yield f"from :{commit - 1}\n"
        for _ in range(12):
            name = rng.randrange(FILES)
            lines = bodies.setdefault(name, [])
            for _ in range(rng.randrange(1, 30)):
                lines.insert(rng.randrange(len(lines) + 1), " ".join(rng.choices(words, k=9)))
            body = "\n".join(lines) + "\n"
            yield f"M 100644 inline d{name % 20}/f{name}\ndata {len(body)}\n{body}\n"
    yield "done\n"


def use(preload):
    clone = session.folder / ("preloaded" if preload else "plain")

    def git(*words, mapped=()):
        result = session.run(["git", "-c", "gc.auto=0", "-c", "pack.threads=2", *words], preload,
            mapped=mapped if preload else ())
        session.expect(result)
        return result.text + result.err.decode(errors="replace") * ("fsck" in words)

    git("clone", "-q", "--no-local", "--bare", session.folder / "origin.git", clone,
        mapped=("git",))
    at = ("-C", clone)
    facts = {"fsck complaints": git(
        *at, "fsck", "--full", "--strict", "--no-progress", mapped=("git",))}
    facts["head"] = git(*at, "rev-parse", "HEAD").strip()
    facts["objects"] = sha256(git(*at, "rev-list", "--objects", "--all").encode())
    git(*at, "repack", "-adfq", "--depth=50", "--window=20")
    facts["log with patches"] = sha256(git(*at, "log", "-p", "-M", "-300").encode())
    facts["blame"] = sha256(git(*at, "blame", "main", "--", "d1/f1").encode())
    facts["fsck complaints after repack"] = git(*at, "fsck", "--full", "--no-progress")
    facts["archive"] = sha256(git(*at, "archive", "--format=tar", "HEAD").encode())
    return facts


with Session("git", needs=("git",)) as session:
    session.note_version(("git", "--version"))
    origin = session.folder / "origin.git"
    session.expect(session.run(["git", "init", "-q", "--bare", "-b", "main", origin], False))
    session.expect(session.run(["git", "-C", origin, "fast-import", "--quiet", "--done"], False,
        text="".join(history())))
    session.both(use)
