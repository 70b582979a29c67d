"""tools/deploy: what systemd, Kubernetes and container builders say of it, and that it works.

    test_deploy.py MPALLOC TARGET LIBRARY
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import time
import unittest
import urllib.request

import yaml

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cli")]

from command import COMMAND, LIBRARY, TARGET, CommandTest, main  # noqa: E402

DEPLOY = HERE.parents[1] / "tools" / "deploy"
ROOT = HERE.parents[1]
NODE = shutil.which("node") or shutil.which("nodejs")


def options_of(words):
    return {re.match(r"--[a-z-]+", w)[0] for w in words if w.startswith("--")}


class Deploy(CommandTest):
    def serve_options(self):
        return set(re.findall(r"--[a-z-]+", self.command("serve", "--help").stdout))


class Systemd(Deploy):
    def setUp(self):
        super().setUp()
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")

    def units(self):
        """As they are, but for the path of the command."""
        paths = []
        for unit in sorted((DEPLOY / "systemd").glob("mpalloc-serve*")):
            text = unit.read_text()
            self.assertEqual(text.count("/usr/bin/mpalloc"), int(unit.suffix == ".service"))
            path = self.dir / unit.name.replace("@.", "@alice.")
            path.write_text(text.replace("/usr/bin/mpalloc", COMMAND))
            paths.append(path)
        self.assertEqual(len(paths), 3)
        return paths

    def analyze(self, *words):
        return subprocess.run(["systemd-analyze", *map(str, words)], capture_output=True,
                              text=True, cwd=self.dir)

    def test_units_are_right(self):
        done = self.analyze("verify", "--man=no", *self.units())
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        bad = self.dir / "bad.service"
        bad.write_text("[Service]\nExecStart=/none\nProtectHom=yes\n")
        self.assertNotEqual(self.analyze("verify", bad).stderr, "")

    def test_exposure(self):
        limits = {"mpalloc-serve.service": 2.5, "mpalloc-serve@alice.service": 1.7}
        for unit in self.units():
            if unit.suffix == ".service":
                out = self.analyze("security", "--offline=true", unit).stdout
                level = float(re.search(r"exposure level for \S+: ([\d.]+)", out)[1])
                self.assertLessEqual(level, limits[unit.name], out)

    def test_options_are_known(self):
        known = self.serve_options()
        for unit in (DEPLOY / "systemd").glob("*.service"):
            words = re.search(r"(?m)^ExecStart=\S+ serve(.*)$", unit.read_text())[1].split()
            self.assertLessEqual(options_of(words), known, unit.name)

    def test_drop_in(self):
        text = (DEPLOY / "systemd" / "mpalloc.conf").read_text()
        unit = self.dir / "app.service"
        unit.write_text("[Service]\nExecStart=/bin/true\n")
        folder = self.dir / "app.service.d"
        folder.mkdir()
        (folder / "mpalloc.conf").write_text(text)
        done = self.analyze("verify", "--man=no", unit)
        self.assertEqual(done.stderr, "")
        names = {line.split("=")[1] for line in text.splitlines()
                 if line.startswith("Environment=")}
        self.assertEqual(names, {"LD_PRELOAD", "MPALLOC_SERVICE"})


class Kubernetes(Deploy):
    def objects(self, name):
        with open(DEPLOY / "kubernetes" / name) as file:
            return [o for o in yaml.safe_load_all(file) if o]

    @unittest.skipUnless(NODE and (HERE / "node_modules").is_dir(), "npm ci --prefix tests/deploy")
    def test_schemas(self):
        objects = self.objects("sidecar.yaml") + self.objects("daemonset.yaml")
        self.assertEqual([o["kind"] for o in objects],
                         ["Deployment", "Namespace", "DaemonSet", "NetworkPolicy"])

        def check(what):
            done = subprocess.run([NODE, HERE / "schema.mjs"], input=json.dumps(what), text=True,
                                  capture_output=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout

        self.assertEqual(check(objects), "")
        objects[0]["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": "x"}]
        del objects[2]["spec"]["selector"]
        self.assertRegex(check(objects), r"(?s)Deployment.*must be integer.*DaemonSet.*selector")

    def parts(self, name, kind):
        (pod,) = [o["spec"]["template"]["spec"] for o in self.objects(name) if o["kind"] == kind]
        return pod, {c["name"]: c for c in pod.get("initContainers", []) + pod["containers"]}

    def test_each_volume_is_there(self):
        for name, kind in (("sidecar.yaml", "Deployment"), ("daemonset.yaml", "DaemonSet")):
            pod, parts = self.parts(name, kind)
            volumes = {v["name"] for v in pod["volumes"]}
            used = {m["name"] for c in parts.values() for m in c["volumeMounts"]}
            self.assertEqual(volumes, used, name)
            for part in parts.values():
                self.assertFalse(part.get("securityContext", {}).get("privileged"))
                self.assertIs(part["securityContext"]["allowPrivilegeEscalation"], False)
                self.assertEqual(part["securityContext"]["capabilities"]["drop"], ["ALL"])
                self.assertIn("memory", part["resources"]["limits"])
            self.assertFalse(pod.get("hostPID") or pod.get("hostNetwork") or pod.get("hostIPC"))
            self.assertFalse(pod.get("shareProcessNamespace"))

    def test_sidecar(self):
        pod, parts = self.parts("sidecar.yaml", "Deployment")
        serve, app = parts["mpalloc-serve"], parts["app"]
        self.assertEqual(serve["restartPolicy"], "Always")
        self.assertLessEqual(options_of(serve["args"]), self.serve_options())
        environment = {e["name"]: e["value"] for e in app["env"]}
        self.assertIn(f"--dir={environment['MPALLOC_DIR']}", serve["args"])
        copied = parts["mpalloc-library"]["command"][-1]
        self.assertEqual(environment["LD_PRELOAD"], copied)
        # Regions are of one user: nobody may be another one.
        for part in parts.values():
            self.assertNotIn("runAsUser", part["securityContext"])
        self.assertGreater(pod["securityContext"]["runAsUser"], 0)
        mount = {m["name"]: m for m in serve["volumeMounts"]}["mpalloc"]
        self.assertTrue(mount["readOnly"])

    def test_daemonset(self):
        _, parts = self.parts("daemonset.yaml", "DaemonSet")
        serve = parts["serve"]
        self.assertLessEqual(options_of(serve["args"]), self.serve_options())
        self.assertEqual(serve["securityContext"]["capabilities"]["add"], ["DAC_READ_SEARCH"])
        text = (DEPLOY / "kubernetes" / "daemonset.yaml").read_text()
        mounts = {m["name"]: m["mountPath"] for m in serve["volumeMounts"]}
        # What root looks for by itself: fleet_paths.c.
        self.assertEqual(mounts["regions"], "/dev/shm")
        self.assertIn("value: /mpalloc/mpalloc-$(POD_UID)", text)


class Container(Deploy):
    def setUp(self):
        super().setUp()
        self.text = (DEPLOY / "container" / "Containerfile").read_text()
        joined = re.sub(r"\\\n\s*", "", self.text)
        self.steps = [line.split(None, 1) for line in joined.splitlines()
                      if line and not line.startswith("#")]

    def test_what_is_copied_is_there(self):
        known = {"FROM", "RUN", "COPY", "WORKDIR", "USER", "EXPOSE", "ENTRYPOINT", "CMD",
                 "ENV"}
        self.assertLessEqual({word for word, _ in self.steps}, known)
        for word, rest in self.steps:
            if word == "COPY" and not rest.startswith("--from"):
                for source in rest.split()[:-1]:
                    self.assertTrue((ROOT / source).exists(), source)
            if word in ("ENTRYPOINT", "CMD"):
                json.loads(rest)
        words = next(json.loads(rest) for word, rest in self.steps if word == "CMD")
        self.assertLessEqual(options_of(words), self.serve_options())

    @unittest.skipUnless(shutil.which("dpkg-query"), "no Debian")
    def test_libraries_of_the_command_are_installed(self):
        needed = re.findall(r"NEEDED\s+(\S+)", subprocess.run(
            ["objdump", "-p", COMMAND], capture_output=True, text=True, check=True).stdout)
        listed = set(re.search(r"--no-install-recommends\s+(.*?)\s+&&",
                               re.sub(r"\\\n", " ", self.text)).group(1).split())
        for library in needed:
            if re.match(r"lib(c|m|pthread|asan|ubsan)\.so|ld-linux|libtinfo", library):
                continue
            found = subprocess.run(["dpkg-query", "-S", f"*/{library}"], capture_output=True,
                                   text=True).stdout
            packages = {line.split(":")[0] for line in found.splitlines()}
            self.assertTrue(packages & listed, f"{library}: {packages}")


class TwoContainers(Deploy):
    """What sidecar.yaml does, in two pairs of namespaces of processes and mounts."""

    def inside(self, *command):
        p = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
             *map(str, command)],
            env=self.env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.addCleanup(self.end, p)
        return p

    def setUp(self):
        super().setUp()
        if subprocess.run(["unshare", "-mp", "--fork", "true"], capture_output=True).returncode:
            self.skipTest("namespaces are not permitted")

    def ask(self, url):
        with urllib.request.urlopen(url, timeout=20) as reply:
            return json.loads(reply.read())

    def test_a_server_beside_the_program(self):
        run = self.dir / "run"  # is made by the library
        app = self.inside("env", f"LD_PRELOAD={LIBRARY}", f"MPALLOC_DIR={run}",
                          "MPALLOC_SERVICE=app", TARGET, "quiet")
        self.assertEqual(app.stdout.readline(), "ready\n")
        self.assertEqual(run.stat().st_mode & 0o777, 0o700)
        serve = self.inside(COMMAND, "serve", f"--dir={run}", "--listen=127.0.0.1:0")
        line = serve.stderr.readline()
        url = re.search(r"http://[\d.:]+", line)[0]
        (process,) = self.ask(url + "/api/v1/processes")["processes"]
        self.assertEqual((process["name"], process["state"]), ("app", "elsewhere"))
        self.assertGreaterEqual(process["live_blocks"], 1010)
        app.kill()  # as the OOM killer would: its region stays
        app.wait()
        time.sleep(0.1)
        (process,) = self.ask(url + "/api/v1/processes")["processes"]
        self.assertGreaterEqual(process["live_blocks"], 1010)


class Page(Deploy):
    def test_commands_of_the_page_are_known(self):
        text = (DEPLOY / "README.md").read_text()
        verbs = set(re.findall(r"(?m)^ *(?:\$ )?mpalloc ([a-z]+)", text))
        for verb in verbs:
            self.command(verb, "--help")
        self.assertGreaterEqual(len(verbs), 3)
        for path in re.findall(r"\]\(([^)#:]+)\)", text):
            self.assertTrue((DEPLOY / path).exists(), path)


if __name__ == "__main__":
    main()
