"""
postgres - initdb, pgbench for some seconds, and queries whose results are compared

A server of its own, on a socket in its own folder, without TCP. Runs as the user postgres
when started by root, because the server refuses to run as root.
"""
import os
import re

from harness import Session, sha256, sized

QUERIES = """
create table t as select i as id, (i::bigint * 7919 % 100003)::int as k, md5(i::text) as body
    from generate_series(1, 300000) i;
create index t_k on t (k);
create index t_body on t (body text_pattern_ops);
analyze t;
select count(*), sum(k), min(body), max(body) from t;
select k % 100, count(*), string_agg(substr(body, 1, 2), '' order by id)
    from t where id % 50 = 0 group by 1 order by 1;
select count(*), sum(a.k::bigint * b.k % 1000) from t a join t b on a.k = b.id;
select jsonb_object_agg(id, jsonb_build_object('k', k, 'b', body) order by id)
    from t where id % 3000 = 0;
select percentile_cont(array[0.1, 0.5, 0.9]) within group (order by k) from t;
with recursive r(n, s) as (select 1, '1' union all select n + 1, s || n from r where n < 2000)
    select max(length(s)), md5(max(s)) from r;
select regexp_replace(body, '([a-f])(\\d)', '\\2\\1', 'g') from t order by body limit 20;
update t set body = reverse(body) where k % 5 = 0;
delete from t where k % 11 = 0;
vacuum full t;
select count(*), md5(string_agg(body, '' order by id)) from t;
do $$ begin for i in 1..20000 loop perform md5(i::text || 'x'); end loop; end $$;
""".replace("300000", sized("60000", "300000"))


def serve(preload):
    label = "preloaded" if preload else "plain"
    data = session.folder / label
    log = session.folder / f"{label}.log"
    seconds = sized(4, 40) if preload else sized(1, 3)
    facts = {}

    def run(*words, text=None, **more):
        result = session.run(words, preload, text=text, env={"PGHOST": str(session.folder)},
            **more)
        session.expect(result)
        return result

    run("initdb", "-D", data, "-A", "trust", "-N", "-U", "postgres", "--no-locale", "-E", "UTF8")
    with open(log, "wb") as stream:
        server = session.start(
            ["postgres", "-D", data, "-k", session.folder, "-h", "", "-c", "fsync=off",
             "-c", "max_parallel_workers_per_gather=2", "-c", "jit=off"],
            preload, stdout=stream, stderr=stream)
    session.until("the server answers", lambda: session.run(
        ["pg_isready", "-q", "-h", session.folder], preload).code == 0)
    if preload:
        session.check("the library is mapped in postgres", session.has_library(server.pid))
    run("createdb", "-U", "postgres", "b")
    result = run("psql", "-U", "postgres", "-qAt", "-v", "ON_ERROR_STOP=1", "b", text=QUERIES)
    facts["query results"] = sha256(result.out)
    facts["lines"] = len(result.out.splitlines())
    run("pgbench", "-U", "postgres", "-i", "-q", "-s", sized("1", "5"), "b")
    bench = run("pgbench", "-U", "postgres", "-c", "8", "-j", "2", "-T", seconds, "b",
        mapped=("pgbench",) if preload else ())
    done = re.search(r"actually processed: (\d+)", bench.text)
    failed = re.search(r"failed transactions: (\d+)", bench.text)
    facts["failed transactions"] = failed and failed.group(1)
    session.check(f"{label}: transactions in {seconds} s", done is not None,
        done.group(1) if done else bench.text)
    facts["balances agree with the history"] = run(
        "psql", "-U", "postgres", "-qAt", "b", text="select sum(abalance) = (select sum(delta) "
        "from pgbench_history) from pgbench_accounts;").text.strip()
    run("pg_ctl", "-D", data, "-m", "fast", "-w", "stop")
    facts["exit code of the server"] = server.wait(30)
    bad = [line for line in log.read_text(errors="replace").splitlines()
           if re.search(r"PANIC|FATAL|terminated by signal|^mpalloc:", line)
           and "terminating" not in line and "starting up" not in line]
    session.check(f"{label}: a clean log", not bad, "".join(bad[:1]))
    return facts


user = "postgres" if os.geteuid() == 0 else None
with Session("postgres", needs=("postgres", "pgbench", "initdb"), user=user) as session:
    session.note_version(("postgres", "--version"))
    session.both(serve)
