"""benchstats - what is made of raw runs: medians, ratios, intervals, means, the envelope

Owns: the statistics. README.md says what they mean. Does not own: runs, nor tables.
"""
import random
import statistics

from benchlib import geometric_mean, is_ours

RESAMPLES = 2000
METRICS = {
    "time": lambda run: run["seconds"],
    "cpu": lambda run: run["user_seconds"] + run["system_seconds"],
    "rss": lambda run: run["peak_rss_bytes"],
    "faults": lambda run: run["minor_faults"],
}
# Not in every run: of the workloads that free everything, and of rounds with --settle.
SOMETIMES = {
    "end": lambda run: run.get("end_rss_bytes"),
    "settled": lambda run: run.get("settled_rss_bytes"),
}


def interval_of(values, statistic, chance):
    """95 % of what the statistic would be on samples drawn from the sample."""
    if len(values) < 2:
        return None
    drawn = sorted(statistic(chance.choices(values, k=len(values)))
        for _ in range(RESAMPLES))
    return [drawn[int(RESAMPLES * 0.025)], drawn[int(RESAMPLES * 0.975) - 1]]


def ratio_of(mine, theirs):
    """Faults can be none at all: one more on both sides keeps the ratio finite."""
    return mine / theirs if theirs > 0 and mine > 0 else (mine + 1) / (theirs + 1)


def summarise(workloads, allocators, runs, baseline):
    """{workload: {allocator: figures}}; an allocator with a failed run has only that."""
    chance = random.Random(1)
    found = {(r["name"], r["allocator"], r["round"]): r.get("result") for r in runs}
    reasons = {(r["name"], r["allocator"]): r["failed"]  # the first one, so from the end
        for r in reversed(runs) if "failed" in r}
    rounds = sorted({r["round"] for r in runs})
    summary = {}
    for w in workloads:
        base = [found[w.name, baseline, n] for n in rounds]
        rows = summary[w.name] = {}
        for a in allocators:
            mine = [found[w.name, a.name, n] for n in rounds]
            if None in mine:
                rows[a.name] = {"failed": mine.count(None), "runs": len(mine),
                    "reason": reasons[w.name, a.name]}
                continue
            row = rows[a.name] = {"runs": len(mine)}
            for metric, of in SOMETIMES.items():
                known = [v for v in map(of, mine) if v is not None]
                if known:
                    row[metric] = statistics.median(known)
            for metric, of in METRICS.items():
                row[metric] = statistics.median(map(of, mine))
                row[metric + "_each"] = list(map(of, mine))
                if None not in base:
                    ratios = [ratio_of(of(x), of(y)) for x, y in zip(mine, base)]
                    row[metric + "_ratios"] = ratios
                    row[metric + "_ratio"] = statistics.median(ratios)
                    row[metric + "_interval"] = interval_of(
                        ratios, statistics.median, chance)
    return summary


def mean_interval(samples, chance):
    """95 % of the geometric mean when the rounds of every workload are drawn anew."""
    if len(samples[0]) < 2:
        return None
    drawn = sorted(geometric_mean([statistics.median(chance.choices(s, k=len(s)))
        for s in samples]) for _ in range(RESAMPLES // 4))
    return [drawn[int(len(drawn) * 0.025)], drawn[int(len(drawn) * 0.975) - 1]]


def summarise_all(summary, allocators):
    """{allocator: {metric: mean over the workloads, its interval, the worst}}"""
    chance = random.Random(2)
    result = {}
    for a in allocators:
        rows = {w: r[a.name] for w, r in summary.items() if "time_ratio" in r[a.name]}
        if not rows:
            continue
        means = result[a.name] = {"workloads": len(rows)}
        for metric in ("time", "rss"):
            samples = [r[metric + "_ratios"] for r in rows.values()]
            worst = max(rows, key=lambda w: rows[w][metric + "_ratio"])
            means[metric] = {
                "mean": geometric_mean([r[metric + "_ratio"] for r in rows.values()]),
                "median": statistics.median(r[metric + "_ratio"] for r in rows.values()),
                "interval": mean_interval(samples, chance), "worst": worst,
                "worst_ratio": rows[worst][metric + "_ratio"]}
    return result


def best_of(rows, peers, metric):
    """The name of the peer that did best on a workload; None when all failed."""
    able = [p for p in peers if metric in rows[p]]
    return min(able, key=lambda p: rows[p][metric]) if able else None


def envelope_of(summary, names, peers, metric):
    """{allocator: {mean, interval, fastest, worst, workloads: {name: {best, ratio, ...}}}}

    Each allocator against the best peer of each workload. The best is found by the
    medians of the same runs, so that a peer's luck is in it: a peer is at 1 at best.
    fastest: the least of all rounds against the least of all rounds of all peers.
    """
    chance = random.Random(3)
    result = {}
    for name in names:
        rows = {}
        for workload, each in summary.items():
            best = best_of(each, peers, metric)
            if best is None or metric not in each[name]:
                continue
            ratios = [ratio_of(a, b) for a, b in zip(
                each[name][metric + "_each"], each[best][metric + "_each"])]
            rows[workload] = {"best": best, "ratio": statistics.median(ratios),
                "interval": interval_of(ratios, statistics.median, chance),
                "ratios": ratios, "fastest": ratio_of(min(each[name][metric + "_each"]),
                    min(min(each[p][metric + "_each"]) for p in peers if metric in each[p]))}
        if rows:
            worst = max(rows, key=lambda w: rows[w]["ratio"])
            result[name] = {"mean": geometric_mean([r["ratio"] for r in rows.values()]),
                "interval": mean_interval([r["ratios"] for r in rows.values()], chance),
                "fastest": geometric_mean([r["fastest"] for r in rows.values()]),
                "worst": worst, "worst_ratio": rows[worst]["ratio"], "workloads": rows}
    return result


def above_limits(args, summary, envelopes):
    """Lines about every workload where a build of mpalloc is above a limit."""
    lines = []
    for metric, limit in (("time", args.limit_time), ("rss", args.limit_rss)):
        for workload, rows in summary.items():
            for name, row in rows.items():
                ratio = row.get(metric + "_ratio")
                if limit is None or not is_ours(name) or ratio is None or ratio <= limit:
                    continue
                interval = row[metric + "_interval"]
                lines.append(f"{workload}: {metric} of {name} is {ratio:.3f} of "
                    f"{args.baseline}"
                    + (f" ({interval[0]:.3f}-{interval[1]:.3f})" if interval else "")
                    + f", the limit is {limit:g}")
    for metric, limit in (("time", args.limit_best), ("rss", args.limit_leanest)):
        for name, found in envelopes[metric].items():
            for workload, row in found["workloads"].items():
                if limit is not None and is_ours(name) and row["ratio"] > limit:
                    lines.append(f"{workload}: {metric} of {name} is {row['ratio']:.3f} of "
                        f"{row['best']}, the best peer; the limit is {limit:g}")
    return lines
