"""runbook.py RUNBOOK.md OUT.h: the runbook as a page, embedded in the command.

Takes what the file uses of Markdown, and no more: headings, paragraphs, lists by "- ", tables,
indented code, `code`, **bold**, links. A heading has its text in small letters as its id.
"""
import html
import re
import sys


def inline(text):
    parts = re.split(r"(`[^`]+`)", text)
    for i, part in enumerate(parts):
        if part.startswith("`"):
            parts[i] = f"<code>{html.escape(part[1:-1])}</code>"
            continue
        part = html.escape(part, quote=False)
        part = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", part)
        parts[i] = re.sub(r"\[([^\]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', part)
    return "".join(parts)


def block(lines):
    if m := re.match(r"(#+) (.*)", lines[0]):
        level = len(m[1])
        anchor = re.sub(r"[^a-z0-9]+", "-", m[2].lower()).strip("-")
        rest = block(lines[1:]) if lines[1:] else ""
        return f'<h{level} id="{anchor}">{inline(m[2])}</h{level}>\n{rest}'
    if all(line.startswith("    ") for line in lines):
        return "<pre>" + html.escape("\n".join(line[4:] for line in lines)) + "</pre>\n"
    if lines[0].startswith("|"):
        rows = [[inline(c.strip()) for c in line.strip("|").split("|")] for line in lines
                if not re.fullmatch(r"[|\s:-]+", line)]
        return "<table>" + "".join(
            "<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows) + "</table>\n"
    if lines[0].startswith("- "):
        items = re.split(r"^- ", "\n".join(lines), flags=re.M)[1:]
        return "<ul>" + "".join(f"<li>{inline(i.strip())}</li>" for i in items) + "</ul>\n"
    return f"<p>{inline(' '.join(lines))}</p>\n"


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        blocks = re.split(r"\n\s*\n", f.read().strip("\n"))
    page = ('<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="viewport" '
            'content="width=device-width"><title>mpalloc: runbook</title>\n'
            + "".join(block(b.split("\n")) for b in blocks) + "</html>\n")
    text = page.replace("\\", "\\\\").replace('"', '\\"')
    lines = "".join(f'    "{line}\\n"\n' for line in text.splitlines())
    with open(sys.argv[2], "w", encoding="utf-8") as f:
        f.write("static const char runbook_page[] =\n" + lines.rstrip("\n") + ";\n")


main()
