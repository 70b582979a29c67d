"""What of PromQL tests have to look at: which series an expression names, and in which function."""

import re

COUNTER_FUNCTIONS = {"rate", "irate", "increase", "resets"}
GAUGE_FUNCTIONS = {"deriv", "delta", "idelta", "predict_linear", "holt_winters"}

SERIES = re.compile(r"(?:(\w+)\()?\b(up|mpalloc[\w:]+)(?:\{[^}]*\})?(\[)?")


def series_of(expression):
    """(function that stands right before it or "", name, whether a range) of each series."""
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", expression)
    return [(m[1] or "", m[2], bool(m[3])) for m in SERIES.finditer(text)]


def check_use(test, expression, known, of):
    """known: {name: type}. Counters are rated, gauges never; each name is one that there is."""
    found = series_of(expression)
    test.assertTrue(found, of)
    for function, name, is_range in found:
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        if name not in known and known.get(family) == "histogram":
            kind = "counter"
        else:
            test.assertIn(name, known, of)
            kind = known[name]
            test.assertNotEqual(kind, "histogram", f"{of}: {name} has no samples of its own")
        if function in COUNTER_FUNCTIONS:
            test.assertEqual(kind, "counter", f"{of}: {function}() of {name}")
        if function in GAUGE_FUNCTIONS:
            test.assertNotEqual(kind, "counter", f"{of}: {function}() of {name}")
        if kind == "counter" and is_range:
            test.assertIn(function, COUNTER_FUNCTIONS, f"{of}: {name} is a counter")
