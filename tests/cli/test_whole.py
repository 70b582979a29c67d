"""The command is linked without the libraries of the network, and loads them for some verbs.

    test_whole.py COMMAND TARGET LIBRARY
"""

import os
import re
import shutil
import signal
import subprocess

from command import COMMAND, CommandTest, main

NETWORK = "curl|microhttpd|gnutls|ssl|crypto|krb5|ldap"


class Whole(CommandTest):
    def mapped(self, pid):
        with open(f"/proc/{pid}/maps") as maps:
            return maps.read()

    def test_the_command_is_linked_without_the_network(self):
        needs = subprocess.run([COMMAND], env={**self.env, "LD_TRACE_LOADED_OBJECTS": "1"},
                               capture_output=True, text=True).stdout
        self.assertIn("libjansson", needs)
        self.assertNotRegex(needs, NETWORK)

    def test_a_server_is_still_the_command(self):
        p = subprocess.Popen([COMMAND, "serve", "--listen", "127.0.0.1:0", "--no-history"],
                             env=self.env, stderr=subprocess.PIPE, text=True)
        self.addCleanup(p.stderr.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        self.assertRegex(p.stderr.readline(), "listening on http://127")
        self.assertEqual(os.readlink(f"/proc/{p.pid}/exe"), COMMAND)
        self.assertIn("libmicrohttpd", self.mapped(p.pid))
        p.send_signal(signal.SIGTERM)
        self.assertEqual(p.wait(30), 0)

    def test_completion_knows_the_options_of_all_verbs(self):
        text = self.command("completion", "bash").stdout
        for verb, flag in (("serve", "--allow-actions"), ("push", "--tenant"),
                           ("alerts", "--check-config"), ("report", "--since")):
            self.assertRegex(text, rf"\n    {verb}\) flags='[^']* {flag} ")

    def test_help_of_a_verb_that_is_apart(self):
        self.assertRegex(self.command("help", "serve").stdout, "^mpalloc serve .*--listen")
        self.assertEqual(self.command("help", "serve").stdout,
                         self.command("serve", "--help").stdout)

    def test_the_command_alone_says_what_is_missing(self):
        alone = self.dir / "mpalloc"
        shutil.copy(COMMAND, alone)
        for words in (("serve",), ("push", "--help"), ("help", "alerts"),
                      ("run", "--serve", "127.0.0.1:0", "--", "true")):
            done = subprocess.run([alone, *words], env=self.env, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
            self.assertTrue(re.fullmatch(
                r"mpalloc \w+: \S+/mpalloc-whole.so: no such file; .*\n", done.stderr), done.stderr)
        subprocess.run([alone, "ps"], env=self.env, check=True, capture_output=True)


if __name__ == "__main__":
    main()
