"""compare_tables - what people read of a comparison: tables on a terminal and for a README

Owns: the tables. Takes the document that --json writes, and no more.
"""
import io
import shlex

from benchlib import between, bytes_text, is_ours, print_table, seconds_text


def cell_of_failure(row):
    return f"FAILED {row['failed']} of {row['runs']}: {row['reason']}"[:60]


def print_workload(name, document, args, out):
    facts, rows = document["workloads"][name], document["summary"][name]
    threads = max(args.threads, 2) if args.threads and facts["threads"] > 1 \
        else facts["threads"]
    print(f"{name}: {facts['what']}; {threads} thread{'s' * (threads > 1)}", file=out)
    table = []
    for allocator, row in rows.items():
        if "failed" in row:
            table.append([allocator, "FAILED"] + [""] * 9)
            continue
        has_ratio = "time_ratio" in row
        envelope = document["envelope"]["time"].get(allocator, {}).get("workloads", {})
        table.append([allocator, seconds_text(row["time"]),
            f"{row['time_ratio']:.3f}" if has_ratio else "",
            between(row["time_interval"]) if has_ratio else "",
            f"{envelope[name]['ratio']:.3f}" if name in envelope else "",
            seconds_text(row["cpu"]), bytes_text(row["rss"]),
            f"{row['rss_ratio']:.3f}" if has_ratio else "",
            bytes_text(row["end"]) if "end" in row else "",
            bytes_text(row["settled"]) if "settled" in row else "",
            f"{row['faults']:,.0f}"])
    print_table(["", "time", "ratio", "95 %", "to best", "user+sys", "peak RSS", "ratio",
        "end RSS", "settled", "faults"], table, out)
    for allocator, row in rows.items():
        if "failed" in row:
            print(f"  {allocator}: {row['failed']} of {row['runs']} runs failed: "
                f"{row['reason']}", file=out)
    print(file=out)


def print_means(document, out):
    print(f"geometric means of the ratios to {document['baseline']}, below 1 is better",
        file=out)
    table = [[name, str(m["workloads"])] + [cell for metric in ("time", "rss")
        for cell in (f"{m[metric]['mean']:.3f}", between(m[metric]["interval"]),
            f"{m[metric]['median']:.3f}",
            f"{m[metric]['worst_ratio']:.2f} {m[metric]['worst']}")]
        for name, m in document["means"].items()]
    print_table(["", "workloads", "time", "95 %", "median", "slowest", "RSS", "95 %",
        "median", "largest"], table, out)


def envelope_rows(document, ours):
    """A row a workload: ours, the best peer and the ratio, for time and for memory."""
    rows = []
    for name, summary in document["summary"].items():
        cells = [name]
        for metric, text in (("time", seconds_text), ("rss", bytes_text)):
            found = document["envelope"][metric].get(ours, {}).get("workloads", {}).get(name)
            if found is None:
                cells.append(
                    "FAILED" if "failed" in summary[ours] else text(summary[ours][metric]))
                cells += [""] * (5 if metric == "time" else 3)
                continue
            cells += [text(summary[ours][metric]), found["best"],
                text(summary[found["best"]][metric]), f"{found['ratio']:.3f}"]
            if metric == "time":
                cells += [between(found["interval"]), f"{found['fastest']:.3f}"]
        rows.append(cells)
    return rows


ENVELOPE_HEAD = ["", "time", "best peer", "its time", "ratio", "95 %", "fastest", "peak RSS",
    "leanest peer", "its RSS", "ratio"]


def print_envelopes(document, out):
    if not document["peers"]["time"]:
        return # ours alone
    for ours in filter(is_ours, document["allocators"]):
        print(f"\n{ours} against the best peer of each workload", file=out)
        print_table(ENVELOPE_HEAD, envelope_rows(document, ours), out)
    for metric, what in (("time", "time, to the fastest of"), ("rss", "RSS, to the leanest of")):
        print(f"\nenvelope, geometric mean of {what} "
            f"{', '.join(document['peers'][metric])} in each workload", file=out)
        table = [[name, str(len(e["workloads"])), f"{e['mean']:.3f}", between(e["interval"]),
            f"{e['fastest']:.3f}", f"{e['worst_ratio']:.2f} {e['worst']}"]
            for name, e in document["envelope"][metric].items()]
        print_table(["", "workloads", "mean", "95 %", "by the least", "worst"], table, out)


def print_all(document, args, out):
    if not args.brief:
        for name in document["summary"]:
            print_workload(name, document, args, out)
    print_means(document, out)
    print_envelopes(document, out)


# ---- for a README ----

def markdown_table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(r) + " |" for r in rows]) + "\n"


def metric_rows(document, metric, text):
    """A row a workload, a column an allocator, the best in bold."""
    rows = []
    for name, summary in document["summary"].items():
        able = [r[metric] for r in summary.values() if metric in r]
        cells = [text(r[metric]) if metric in r else
            "failed" if "failed" in r else "" for r in summary.values()]
        rows.append([f"`{name}`"] + [f"**{c}**" if able and r.get(metric) == min(able) else c
            for c, r in zip(cells, summary.values())])
    return rows


def markdown(document):
    names = list(document["allocators"])
    out = io.StringIO()
    print(f"{document['rounds']} rounds, {document['machine']['cores']} cores of "
        f"{document['machine']['cpu']}, Linux {document['machine']['kernel']}:\n\n```sh\n"
        f"{shlex.join(document['command'])}\n```\n", file=out)
    mean_rows = [[name, f"{m['time']['mean']:.3f}", f"{m['time']['median']:.3f}",
        f"{m['rss']['mean']:.3f}"] + [f"{document['envelope'][k][name][of]:.3f}"
            if name in document["envelope"][k] else ""
            for k, of in (("time", "mean"), ("time", "fastest"), ("rss", "mean"))]
        for name, m in document["means"].items()]
    base = document["baseline"]
    print(markdown_table(["", f"time / {base}", "median", f"RSS / {base}",
        "time / best peer", "fastest / fastest", "RSS / leanest peer"], mean_rows), file=out)
    for ours in filter(is_ours, names if document["peers"]["time"] else []):
        head = [ours] + ENVELOPE_HEAD[1:]
        print(markdown_table(head, envelope_rows(document, ours)), file=out)
    for metric, title, text in (("time", "median time", seconds_text),
            ("rss", "peak RSS", bytes_text), ("end", "RSS when all is freed", bytes_text),
            ("settled", "RSS some time later", bytes_text)):
        if any(metric in r for rows in document["summary"].values() for r in rows.values()):
            print(markdown_table([title] + names, metric_rows(document, metric, text)),
                file=out)
    return out.getvalue()
