"""
servers - programs that serve: started by the name of one at the end of this file

Each listens on a port or socket of its own, answers the same questions without and with the
library, and ends when it is told to. What clients see must be the same; logs must be clean.
"""
import concurrent.futures
import contextlib
import hashlib
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from harness import Session, sha256

session = None  # set at the end


def free_port():
    """
    None of those that the kernel gives to clients: one that got the port of its server would
    hear itself. dig, which takes a new port for each query, did so in one run of fifty.
    """
    text = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    first, last = (int(word) for word in text.split())
    ports = [port for port in range(10000, 65536) if not first <= port <= last]
    for port in random.sample(ports, min(100, len(ports))):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            with contextlib.suppress(OSError):
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
                return port
    sys.exit(f"no port is free beside {first} to {last}, those of clients")


def answers(port):
    def try_it():
        with socket.socket() as s:
            s.settimeout(2)
            return s.connect_ex(("127.0.0.1", port)) == 0
    return try_it


def get(port, path="/", gzip=False):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}",
        headers={"Accept-Encoding": "gzip"} if gzip else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def end(process, number=signal.SIGTERM):
    """Told again after a while: a server that is just reloading may miss it."""
    for _ in range(10):
        process.send_signal(number)
        try:
            return process.wait(10)
        except subprocess.TimeoutExpired:
            pass
    return process.wait(1)


def begin(preload, argv, port, **more):
    """Starts a server in the folder of this run and waits until it listens."""
    folder = session.folder / ("preloaded" if preload else "plain")
    folder.mkdir(exist_ok=True)
    if session.user:
        os.chmod(folder, 0o777)
    log = open(folder / "log", "ab")
    process = session.start(argv, preload, cwd=folder, stdout=log, stderr=log, **more)
    session.until(f"{argv[0]} listens", answers(port))
    if preload:
        session.check(f"the library is mapped in {pathlib.Path(argv[0]).name}",
            session.has_library(process.pid))
    return process, folder


def clean_log(folder, pattern, *names):
    text = "\n".join((folder / n).read_text(errors="replace") for n in ("log", *names)
                     if (folder / n).exists())
    bad = [line for line in text.splitlines() if re.search(pattern + "|^mpalloc:", line)]
    session.check(f"{folder.name}: a clean log", not bad, "".join(bad[:2]))


def pages(folder):
    rng = random.Random(7)
    (folder / "www").mkdir(parents=True)
    for i in range(12):
        text = " ".join(str(rng.randrange(1000)) for _ in range(2 + i * 900))
        (folder / "www" / f"p{i}.txt").write_text(text)


def load(port, resets, seconds=1):
    """wrk against the pages; None when every answer was right. resets: some may end early."""
    result = session.run(["wrk", "-t1", "-c24", f"-d{seconds}s", "-H", "Accept-Encoding: gzip",
        f"http://127.0.0.1:{port}/p9.txt"], False)
    session.expect(result)
    bad = re.search(r"Non-2xx.*|Socket errors: (?!connect 0, read 0, write 0).*", result.text)
    return bad.group(0) if bad and not (resets and "Socket" in bad.group(0)) else None


def all_pages(port):
    return sha256(b"".join(get(port, f"/p{i}.txt") for i in range(12)))


def web(preload, argv, port, reload=None, stop=signal.SIGTERM, resets=False):
    """What web servers have in common."""
    process, folder = begin(preload, argv, port)
    facts = {"pages": all_pages(port), "packed": len(get(port, "/p9.txt", True)) > 0,
             "under load": load(port, resets)}
    if reload is not None:
        process.send_signal(reload)
        time.sleep(1)  # for the old processes to go and the new ones to begin
        session.until("it listens again", answers(port))
        facts["pages after a reload"] = all_pages(port)
    facts["exit code"] = end(process, stop)
    return facts, folder


def nginx(preload):
    port = free_port()
    (session.folder / "nginx.conf").write_text(f"""
daemon off; worker_processes 2; pid {session.folder}/nginx.pid; error_log stderr warn; user root;
events {{ worker_connections 256; }}
http {{ access_log off; gzip on; gzip_types *; gzip_min_length 100; client_body_temp_path b;
proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
server {{ listen 127.0.0.1:{port}; root {session.folder}/www; }} }}
""")
    facts, folder = web(preload, ["nginx", "-c", session.folder / "nginx.conf", "-p",
        session.folder, "-e", "stderr"], port, signal.SIGHUP, signal.SIGQUIT)
    clean_log(folder, r"\[(alert|emerg|crit)\]")
    return facts


def lighttpd(preload):
    port = free_port()
    (session.folder / "l.conf").write_text(
        f'server.document-root = "{session.folder}/www"\nserver.port = {port}\n'
        'server.bind = "127.0.0.1"\nmimetype.assign = (".txt" => "text/plain")\n')
    facts, folder = web(preload, ["lighttpd", "-D", "-f", session.folder / "l.conf"], port, stop=signal.SIGINT)
    clean_log(folder, "error")
    return facts


def apache(preload):
    port = free_port()
    modules = "\n".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so" for m in
        "mpm_event authz_core deflate filter".split())
    (session.folder / "a.conf").write_text(f"""
ServerRoot {session.folder}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {session.folder}/a.pid
ErrorLog /dev/stderr
{modules}
User nobody
Group nogroup
StartServers 2
ThreadsPerChild 16
DocumentRoot {session.folder}/www
SetOutputFilter DEFLATE
<Directory />
Require all granted
</Directory>
""")
    os.chmod(session.folder, 0o755)
    facts, folder = web(preload, ["apache2", "-DFOREGROUND", "-f", session.folder / "a.conf"],
        port, signal.SIGUSR1, resets=True)  # apache resets some, with any malloc
    # Children that are told to end while they begin crash with any malloc: their handler frees.
    clean_log(folder, "mpalloc:")
    return facts


def start_origin(port):
    """The server behind a proxy or a cache, without the library."""
    origin = session.start([sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1",
        "-d", session.folder / "www"], False, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    session.until("the origin listens", answers(port))
    return origin


def haproxy(preload):
    port, back = free_port(), free_port()
    origin = start_origin(back)
    (session.folder / "h.cfg").write_text(f"""
global
  nbthread 2
defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
  compression algo gzip
  compression type text/plain
frontend f
  bind 127.0.0.1:{port}
  http-request set-header X-Long %[path,base64,sha1,hex]
  acl odd path_reg ^/p[13579]
  http-response set-header X-Odd yes if {{ res.hdr(Content-Length) -m found }}
  default_backend b
backend b
  server s 127.0.0.1:{back} maxconn 4
""")
    process, folder = begin(preload, ["haproxy", "-db", "-f", session.folder / "h.cfg"], port)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda i: sha256(get(port, f"/p{i % 12}.txt")), range(300)))
    facts = {"pages": sha256("".join(got).encode()), "exit code": end(process)}
    end(origin)
    clean_log(folder, "ALERT|Segmentation")
    return facts


def varnish(preload):
    port, back = free_port(), free_port()
    origin = start_origin(back)
    process, _ = begin(preload, ["varnishd", "-F", "-n", session.folder / f"v{preload:d}", "-a",
        f"127.0.0.1:{port}", "-b", f"127.0.0.1:{back}", "-s", "malloc,16m", "-j", "none"], port)
    session.until("it answers", lambda: len(get(port, "/p0.txt")) > 0)
    facts = {"pages": all_pages(port), "pages again": all_pages(port), "under load": load(port, False)}
    facts["exit code"] = end(process)
    end(origin)
    return facts


def memcached(preload):
    port = free_port()
    process, _ = begin(preload, ["memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", port,
        "-m", "64", "-t", "4"], port)

    def client(n):
        rng, bad = random.Random(n), 0
        with socket.create_connection(("127.0.0.1", port)) as s, s.makefile("rwb") as f:
            known = {}
            for i in range(1500):
                key = f"{n}-{rng.randrange(300)}"
                value = known[key] = hashlib.sha256(f"{n} {i}".encode()).hexdigest().encode() * \
                    rng.randrange(1, 60)
                f.write(b"set %s 0 0 %d\r\n%s\r\nget %s\r\n" % (
                    key.encode(), len(value), value, key.encode()))
                f.flush()
                bad += f.readline() != b"STORED\r\n"
                bad += f.readline() != b"VALUE %s 0 %d\r\n" % (key.encode(), len(value))
                bad += f.readline().strip() != value
                bad += f.readline() != b"END\r\n"
        return bad

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        facts = {"wrong of 9,000 values": sum(pool.map(client, range(6)))}
    facts["exit code"] = end(process)
    return facts


def bind(preload):
    port = free_port()
    rng = random.Random(8)
    (session.folder / "zone").write_text("$TTL 60\n@ SOA ns. me. 1 60 60 60 60\n@ NS ns.\n" +
        "".join(f"h{i} A 10.{i >> 8}.{i & 255}.{rng.randrange(256)}\n" for i in range(3000)))
    (session.folder / "named.conf").write_text(f"""
options {{ directory "{session.folder}"; listen-on port {port} {{ 127.0.0.1; }};
listen-on-v6 {{ none; }}; pid-file none; session-keyfile none; recursion no; notify no;
dnssec-validation no; allow-transfer {{ any; }}; }};
controls {{ }};
zone "test" {{ type primary; file "zone"; }};
""")
    process, folder = begin(preload, ["named", "-g", "-n", "2", "-c",
        session.folder / "named.conf"], port)
    session.until("the zone is loaded", lambda: session.run(["dig", "+short", "@127.0.0.1",
        "-p", port, "h1.test"], False).text.startswith("10."))
    result = session.run(["dig", "+tcp", "+noall", "+answer", "@127.0.0.1", "-p", port, "test",
        "AXFR"], preload)
    session.expect(result)
    facts = {"the zone": sha256("\n".join(sorted(result.text.splitlines())).encode()),
             "lines": len(result.text.splitlines())}
    queries = session.folder / "queries"
    queries.write_text("".join(f"h{i * 7 % 3100}.test A\n" for i in range(600)))
    result = session.run(["dig", "+short", "@127.0.0.1", "-p", port, "-f", queries], preload)
    facts["600 answers"] = sha256(result.out)
    facts["exit code"] = end(process)
    clean_log(folder, r"critical|assertion|INSIST|REQUIRE")
    return facts


def mosquitto(preload):
    port = free_port()
    (session.folder / "m.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process, folder = begin(preload, ["mosquitto", "-c", session.folder / "m.conf"], port)
    out = open(folder / "got", "wb")
    listener = session.start(["mosquitto_sub", "-p", port, "-t", "a/#", "-q", "1", "-C", "800"],
        preload, stdout=out)
    session.until("the subscription is there", lambda: b"SUBSCRIBE" in
        (folder / "log").read_bytes() or b"mosq" in (folder / "log").read_bytes())
    text = "\n".join(f"message {i} " + "x" * (i % 500) for i in range(800)) + "\n"
    time.sleep(1)
    session.expect(session.run(["mosquitto_pub", "-p", port, "-t", "a/b", "-q", "1", "-l"],
        preload, text=text))
    facts = {"exit code of the listener": listener.wait(60)}
    facts["messages"] = sha256((folder / "got").read_bytes())
    facts["as sent"] = (folder / "got").read_text() == text
    facts["exit code"] = end(process)
    return facts


MARIADB = """
create database d; use d;
create table t (id int primary key, k int, body varchar(200), key (k)) engine=innodb;
insert into t select seq, seq * 7919 % 10007, repeat(md5(seq), 1 + seq % 5) from seq_1_to_20000;
select count(*), sum(k), min(body), max(body) from t;
select k % 50, count(*), md5(group_concat(id order by id)) from t group by 1 order by 1;
select count(*) from t a join t b on a.k = b.id;
update t set body = reverse(body) where k % 5 = 0; delete from t where k % 11 = 0;
alter table t add column j json default '{"a": [1, 2]}', add index (body(20));
select json_extract(j, '$.a[1]'), count(*) from t group by 1;
check table t; optimize table t;
select count(*), sum(crc32(body)) from t;
"""


def mariadb(preload):
    port = free_port()
    folder = session.folder / ("preloaded" if preload else "plain")
    folder.mkdir()
    data = folder / "data"
    common = ["--no-defaults", f"--datadir={data}", f"--lc-messages-dir=/usr/share/mysql",
              "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--user=root",
              "--innodb-flush-log-at-trx-commit=0", "--skip-grant-tables"]
    data.mkdir()
    (data / "mysql").mkdir()
    process, folder = begin(preload, ["mariadbd", *common, f"--port={port}",
        "--bind-address=127.0.0.1", f"--socket={folder}/s", "--pid-file=p"], port)
    result = session.run(["mariadb", "--no-defaults", f"--socket={folder}/s", "-N", "-B"],
        preload, text=MARIADB)
    session.expect(result)
    facts = {"query results": sha256(result.out), "lines": len(result.out.splitlines()),
             "exit code": end(process)}
    clean_log(folder, r"\[FATAL\]|signal 1?[61]\b|Assertion")
    return facts


def ssh(preload):
    port = free_port()
    pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    if not (session.folder / "host").exists():
        for name in ("host", "user"):
            session.expect(session.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                session.folder / name], preload))
        (session.folder / "keys").write_bytes((session.folder / "user.pub").read_bytes())
        (session.folder / "big").write_bytes(random.Random(9).randbytes(3_000_000))
        (session.folder / "sshd_config").write_text("UsePAM no\nStrictModes no\n"
            f"HostKey {session.folder}/host\nAuthorizedKeysFile {session.folder}/keys\n"
            "PermitRootLogin yes\nPidFile none\nSubsystem sftp internal-sftp\nCompression yes\n")
    process, folder = begin(preload, ["/usr/sbin/sshd", "-D", "-e", "-f",
        session.folder / "sshd_config", "-p", port, "-o", "ListenAddress=127.0.0.1"], port)
    options = ["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
        "-o", "LogLevel=ERROR", "-o", "Compression=yes", "-i", session.folder / "user"]
    result = session.run(["ssh", *options, "-p", port, "127.0.0.1",
        "seq 1 50000 | sort -rn | cksum; exit 7"], preload)
    facts = {"over ssh": result.text.strip(), "exit code over ssh": result.code}
    result = session.run(["scp", "-q", *options, "-P", port, f"127.0.0.1:{session.folder}/big",
        folder / "copy"], preload)
    session.expect(result)
    facts["copied"] = sha256((folder / "copy").read_bytes())
    end(process)
    clean_log(folder, "fatal|Segmentation|Abort")
    return facts


# name, what it is, programs, package, how its version is asked
SERVERS = {
    "nginx": (nginx, ("nginx", "wrk"), "nginx-light", ("nginx", "-v")),
    "lighttpd": (lighttpd, ("lighttpd", "wrk"), "lighttpd", ("lighttpd", "-v")),
    "apache": (apache, ("apache2", "wrk"), "apache2-bin", ("apache2", "-v")),
    "haproxy": (haproxy, ("haproxy",), "haproxy", ("haproxy", "-v")),
    "varnish": (varnish, ("varnishd", "wrk", "gcc"), "varnish", ("varnishd", "-V")),
    "memcached": (memcached, ("memcached",), "memcached", ("memcached", "--version")),
    "bind": (bind, ("named", "dig"), "bind9", ("named", "-v")),
    "mosquitto": (mosquitto, ("mosquitto", "mosquitto_sub"), "mosquitto", ("mosquitto", "-h")),
    "mariadb": (mariadb, ("mariadbd", "mariadb"), "mariadb-server-core", ("mariadbd", "--version")),
    "ssh": (ssh, ("/usr/sbin/sshd", "ssh"), "openssh-server", ("ssh", "-V")),
}

if __name__ == "__main__":
    name = sys.argv[1]
    action, needs, package, version = SERVERS[name]
    with Session(name, needs=needs, packages=package) as session:
        session.note_version(version)
        pages(session.folder)
        session.both(action)
