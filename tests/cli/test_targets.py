"""What a target of the mpalloc command may be beside a PID: the file of a service, a core file.

    test_targets.py COMMAND TARGET LIBRARY
"""

import os
import signal

from command import CommandTest, main


class PidFile(CommandTest):
    def write(self, text):
        path = self.dir / "service.pid"
        path.write_text(text)
        return path

    def test_every_verb_with_a_target_takes_it(self):
        p = self.start("busy")
        path = self.write(f"{p.pid}\n")
        for verb in ("report", "snapshot", "leaks", "options"):
            self.assertEqual(self.command(verb, "--pid-file", path).stderr, "", verb)
            d = self.document(verb, "--pid-file", path)
            if "process" in d:
                self.assertEqual(d["process"]["pid"], p.pid)
        self.document("trim", "--pid-file", path)
        self.document("sample", "--pid-file", path, "64k")
        self.assertIn("--pid-file", self.command("leaks", "--help").stdout)

    def test_blanks_and_further_lines_are_no_matter(self):
        p = self.start("quiet")
        for text in (f"{p.pid}", f" {p.pid} \r\n", f"{p.pid}\n/var/lib/x\n17\n" + "x" * 999):
            self.command("snapshot", "--pid-file", self.write(text))

    def test_the_region_of_a_dead_process(self):
        p = self.start("quiet")
        path = self.write(f"{p.pid}\n")
        p.send_signal(signal.SIGKILL)
        p.wait()
        self.assertEqual(self.document("leaks", "--pid-file", path)["process"]["state"], "died")

    def test_bad_ones_are_named_in_one_line(self):
        self.fails(4, "leaks", "--pid-file", self.dir / "none.pid",
                   says=r"^mpalloc leaks: --pid-file .*/none.pid: No such file or directory$")
        self.fails(1, "leaks", "--pid-file", self.dir, says="Is a directory")
        for text in ("", "\n", "  \n42\n"):
            self.fails(2, "leaks", "--pid-file", self.write(text), says="no process number in it")
        for text in ("nginx\n", "-5\n", "0\n", "12x\n", "4294967296\n", "\x1b[31m\n", "1 2\n"):
            self.fails(2, "leaks", "--pid-file", self.write(text),
                       says="a process number was expected, not")
        self.fails(4, "leaks", "--pid-file", self.write("4194305\n"),
                   says="service.pid: process 4194305: does not exist, and none of that number "
                   "left a region")
        mine = self.write(f"{os.getpid()}\n")
        self.fails(4, "leaks", "--pid-file", mine, says="runs, but without mpalloc")
        self.fails(2, "leaks", "--pid-file", mine, 17, says="takes 17 or --pid-file, not both")
        self.fails(2, "leaks", "--pid-file", mine, "--name", "x", says="not both")
        self.fails(2, "leaks", "--pid-file", says="needs a value")

    def test_a_queue_that_nobody_writes_to_is_not_waited_for(self):
        os.mkfifo(self.dir / "queue")
        self.fails(2, "leaks", "--pid-file", self.dir / "queue", says="no process number in it")


main()
