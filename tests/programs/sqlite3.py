"""sqlite3 - a database in memory: insert, index, update, delete, vacuum"""
from harness import BIG, Session, sha256

SCRIPT = """
pragma temp_store = memory;
create table t (id integer primary key, k integer, name text, body text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000000)
insert into t select i, (i * 7919) % 1000003, 'name' || (i % 5000),
    substr('abcdefghijklmnopqrstuvwxyz0123456789', 1 + i % 30) || i from n;
select 'rows', count(*), sum(k), sum(length(body)) from t;
create index t_k on t (k);
create index t_name on t (name, k);
select 'by name', name, count(*), sum(k), group_concat(id % 97, '')
    from t where k % 50 = 0 group by name order by name limit 500;
update t set body = body || '-' || upper(name) where k % 3 = 0;
delete from t where k % 7 = 0;
select 'left', count(*), sum(k), sum(length(body)), min(body), max(body) from t;
select 'join', count(*), sum(a.k - b.k) from t a join t b on b.id = a.k where a.id % 5 = 0;
select 'sorted', id, body from t order by body desc limit 50 offset 100000;
vacuum;
select 'checksum', sum((id * 31 + k) % 1000003 * length(body)) from t;
pragma integrity_check;
pragma foreign_key_check;
"""
if not BIG:
    SCRIPT = SCRIPT.replace("1000000)", "150000)").replace("offset 100000", "offset 10000")



def build(preload):
    result = session.run(["sqlite3", ":memory:"], preload, text=SCRIPT,
        mapped=("sqlite3",) if preload else ())
    session.expect(result)
    lines = result.text.splitlines()
    session.check("integrity_check says ok", lines[-1:] == ["ok"], "".join(lines[-1:]))
    return {"exit code": result.code, "lines": len(lines), "checksum": lines[-2:-1],
            "output": sha256(result.out)}


with Session("sqlite3", needs=("sqlite3",)) as session:
    session.note_version(("sqlite3", "--version"))
    session.both(build)
