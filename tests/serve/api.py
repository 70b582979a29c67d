"""What tests of the HTTP API share: a server, a process to ask about, and the description."""

import pathlib
from urllib.parse import urljoin

import jsonschema
import yaml

from serving import COMMAND, ServeTest, main  # noqa: F401

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLED = {"MPALLOC_SAMPLE": "16k", "MPALLOC_SAMPLE_GOVERNOR": "0"}
BASE = "http://server/openapi.yaml"

# What differs from one look to the next, or by who asks.
FLEETING = {"generated", "age_seconds", "ran_seconds", "label", "warnings"}


def without(value, keys):
    if isinstance(value, dict):
        return {k: without(v, keys) for k, v in value.items() if k not in keys}
    return [without(v, keys) for v in value] if isinstance(value, list) else value


class Description:
    """openapi.yaml as the server has it; what it refers to comes from the server, too."""

    def __init__(self, server):
        self.server = server
        self.whole = yaml.safe_load(server.ask("/openapi.yaml").body)
        self.resolver = jsonschema.RefResolver(BASE, self.whole)
        self.resolver.store[BASE] = self.whole
        for path in sorted((ROOT / "tools" / "schemas").glob("*.json")):
            answer = server.ask(f"/schemas/{path.name}")
            if answer.status == 200:
                assert answer.body == path.read_bytes(), path
                self.resolver.store[f"http://server/schemas/{path.name}"] = answer.json()

    def operations(self):
        for path, item in self.whole["paths"].items():
            for method in ("get", "post"):
                if method in item:
                    yield path, method.upper(), item[method]

    def resolve(self, value):
        while isinstance(value, dict) and "$ref" in value:
            value = self.resolver.resolve_from_url(urljoin(BASE, value["$ref"]))
        return value

    def validate(self, schema, document):
        jsonschema.Draft202012Validator(schema, resolver=self.resolver,
            format_checker=jsonschema.FormatChecker()).validate(document)

    def check(self, operation, answer):
        """That the answer is one of those described, and fits its schema."""
        replies = operation["responses"]
        reply = self.resolve(replies.get(str(answer.status), replies["default"]))
        if answer.status == 308:
            return
        kind = answer.headers["Content-Type"].split(";")[0]
        assert kind in reply["content"], (kind, list(reply["content"]))
        if kind.endswith("json"):
            self.validate(reply["content"][kind]["schema"], answer.json())


class ApiTest(ServeTest):
    def begin(self, *words, mode="busy", **env):
        self.target = self.start(mode, **SAMPLED, **env)
        self.server = self.serve("--allow-actions", "--no-history", *words)
        self.key = self.region_of(self.target).stem
        self.at = f"/api/v1/processes/{self.key}"
        self.description = Description(self.server)
        self.wait_for(lambda: self.server.json(f"{self.at}/snapshot")["live_bytes"] > 1000000
                      and self.server.json(f"{self.at}/snapshot")["sampling"]["sites"] > 1,
                      "the target holds what it should")

    def post(self, path, body=None, status=200, **headers):
        headers = {"Content-Type": "application/json", **headers}
        answer = self.server.ask(path, "POST", body, headers)
        self.assertEqual(answer.status, status, answer.body)
        return answer

    def operation(self, path, method="get"):
        return self.description.whole["paths"][path][method]
