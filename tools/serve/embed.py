"""Files as C arrays: embed.py OUTPUT NAME FILE..., for `static const struct embedded NAME[]`."""
import pathlib
import sys

output, name, *files = sys.argv[1:]
lines = ["/* Made by embed.py. */"]
rows = []
for number, path in enumerate(map(pathlib.Path, files)):
    data = path.read_bytes()
    lines.append(f"static const unsigned char {name}_{number}[] = {{")
    for at in range(0, len(data), 20):
        lines.append("    " + " ".join(f"{byte}," for byte in data[at:at + 20]))
    lines.append("};")
    rows.append(f'    {{"{path.name}", {name}_{number}, {len(data)}}},')
lines += [f"static const struct embedded {name}[] = {{", *rows, "    {NULL, NULL, 0},", "};", ""]
pathlib.Path(output).write_text("\n".join(lines))
