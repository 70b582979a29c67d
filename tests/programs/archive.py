"""archive - tar into xz with two threads, and back"""
import random

from harness import Session, sha256_file, sha256_tree, sized


def fill(folder):
    rng = random.Random(4)
    words = ["".join(rng.choices("etaoinshrdlu ", k=rng.randrange(2, 14))) for _ in range(3000)]
    for i in range(sized(120, 2400)):
        path = folder / f"d{i % 40}" / f"f{i}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if i % 10 == 0:
            path.write_bytes(rng.randbytes(rng.randrange(80_000)))
        else:
            path.write_text("\n".join(rng.choices(words, k=rng.randrange(6000))))


def roundtrip(preload):
    label = "preloaded" if preload else "plain"
    packed = session.folder / f"{label}.tar.xz"
    back = session.folder / f"{label}.d"
    back.mkdir()
    both = ("xz",) if preload else ()  # tar is too fast to be looked at
    session.expect(session.run(
        ["bash", "-o", "pipefail", "-c",
         f"tar --sort=name --mtime=@0 --owner=0 --group=0 -C data -c . "
         f"| xz -T2 -3 --block-size=4MiB > {packed}"],
        preload, mapped=both))
    session.expect(session.run(["bash", "-o", "pipefail", "-c",
        f"xz -T2 -dc {packed} | tar -C {back} -x"], preload))
    return {"archive": sha256_file(packed), "tree": sha256_tree(back),
            "size": packed.stat().st_size}


with Session("archive", needs=("tar", "xz", "bash")) as session:
    session.note_version(("xz", "--version"))
    fill(session.folder / "data")
    session.say(f"{sum(f.stat().st_size for f in session.folder.rglob('f*')):,} bytes to pack")
    session.both(roundtrip)
