"""The Grafana dashboards: their queries, with the variables put in."""

import json
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tools" / "deploy" / "grafana"


def load_all():
    return {p.name: json.loads(p.read_text()) for p in sorted(FOLDER.glob("*.json"))}


def panels_of(dashboard):
    return [p for p in dashboard["panels"] if p["type"] != "row"]


def fill(expression):
    for old, new in (("$__rate_interval", "5m"), ("$__range", "3h"), ('="$', '=~"$'),
                     ("$instance", ".*"), ("$process", ".*"), ("$pid", ".*")):
        expression = expression.replace(old, new)
    assert "$" not in expression, expression
    return expression


def expressions_of(dashboard):
    """[(title of the panel, PromQL)]"""
    found = [(p["title"], fill(t["expr"])) for p in panels_of(dashboard) for t in p["targets"]]
    return found + [("annotations", fill(a["expr"])) for a in dashboard["annotations"]["list"]]
