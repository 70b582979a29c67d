-- The history as the first version kept it: a row for each component and stack of each point.
CREATE TABLE IF NOT EXISTS acks (id TEXT PRIMARY KEY, until_s INTEGER NOT NULL, note TEXT NOT NULL, made_s INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, run_id BLOB NOT NULL UNIQUE, pid INTEGER NOT NULL, name TEXT NOT NULL, exe TEXT NOT NULL, build_id TEXT NOT NULL, started_s INTEGER NOT NULL, last_s INTEGER NOT NULL, state TEXT NOT NULL, limit_bytes INTEGER, stack_bytes INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE IF NOT EXISTS points (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, time_s INTEGER NOT NULL, tier INTEGER NOT NULL, live_bytes INTEGER NOT NULL, live_blocks INTEGER NOT NULL, live_high_bytes INTEGER NOT NULL, allocated_bytes_total INTEGER NOT NULL, allocated_blocks_total INTEGER NOT NULL, heap_bytes INTEGER NOT NULL, resident_bytes INTEGER, threads INTEGER NOT NULL) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS points_by_time ON points (tier, run, time_s);
CREATE TABLE IF NOT EXISTS names (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS components (point INTEGER NOT NULL, name INTEGER NOT NULL, live_bytes INTEGER NOT NULL, live_blocks INTEGER NOT NULL, allocated_bytes_total INTEGER NOT NULL, PRIMARY KEY (point, name)) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS stacks (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, component INTEGER NOT NULL, frames TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS sites (point INTEGER NOT NULL, stack INTEGER NOT NULL, live_bytes INTEGER NOT NULL, live_bytes_low INTEGER NOT NULL, live_bytes_high INTEGER NOT NULL, allocated_bytes_total INTEGER NOT NULL, PRIMARY KEY (point, stack)) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS verdicts (point INTEGER NOT NULL, stack INTEGER NOT NULL, verdict TEXT NOT NULL, severity TEXT NOT NULL, bytes_per_hour REAL NOT NULL, bytes_per_hour_low REAL NOT NULL, bytes_per_hour_high REAL NOT NULL, PRIMARY KEY (point, stack)) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS baselines (id INTEGER PRIMARY KEY, name TEXT NOT NULL, label TEXT NOT NULL, build_id TEXT NOT NULL, program TEXT NOT NULL, made_s INTEGER NOT NULL, live_bytes INTEGER NOT NULL, region BLOB NOT NULL, names BLOB NOT NULL, UNIQUE (name, label, build_id)) STRICT;
CREATE TABLE IF NOT EXISTS alerts (run_id BLOB NOT NULL, name TEXT NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, state TEXT NOT NULL, severity TEXT NOT NULL, told INTEGER NOT NULL, fired_ns INTEGER NOT NULL, resolved_ns INTEGER NOT NULL, value REAL, text TEXT NOT NULL, process TEXT NOT NULL, program TEXT NOT NULL, PRIMARY KEY (run_id, name, first_ns)) WITHOUT ROWID, STRICT;
PRAGMA user_version = 1;
INSERT INTO acks VALUES ('0123456789abcdef', 9999999999, 'known', 1);
INSERT INTO runs VALUES (1, x'RUN_ID', PID, 'target', '/target', '00', NOW-9000, NOW-3500, 'running', NULL, 60);
INSERT INTO points VALUES (1, 1, NOW-7000, 2, 1000, 10, 1000, 5000, 50, 3000, 4000, 1);
INSERT INTO points VALUES (2, 1, NOW-3500, 0, 2000, 20, 2000, 6000, 60, 3000, 4000, 1);
INSERT INTO names VALUES (1, 'shop'), (2, 'shop/cart');
INSERT INTO components VALUES (1, 1, 300, 3, 3000), (2, 1, 700, 7, 7000), (2, 2, 50, 5, 500);
INSERT INTO stacks VALUES (1, '00000000000000aa', 1, 'leaky
main');
INSERT INTO sites VALUES (1, 1, 200, 100, 400, 8000), (2, 1, 600, 500, 900, 9000);
INSERT INTO verdicts VALUES (1, 1, 'growing', 'warning', 55.0, 1.0, 99.0);
INSERT INTO verdicts VALUES (2, 1, 'growing', 'critical', 77.0, 1.0, 99.0);
