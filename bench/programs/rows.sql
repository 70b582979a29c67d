-- A database in memory: rows inserted, indexed, joined, updated and deleted.
PRAGMA cache_size = 4000;
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, size INTEGER, note TEXT);
CREATE TABLE tag(item INTEGER, word TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)
INSERT INTO item SELECT i, printf('item-%d', i * 7919 % 100003), i * 31 % 977,
    substr('the quick brown fox jumps over the lazy dog', 1, i % 43) FROM n;
INSERT INTO tag SELECT id, printf('tag-%d', size % 89) FROM item;
CREATE INDEX item_name ON item(name);
CREATE INDEX tag_word ON tag(word, item);
UPDATE item SET note = note || name WHERE size % 3 = 0;
DELETE FROM item WHERE size % 11 = 5;
SELECT word, count(*), sum(size), max(name), min(length(note)) FROM tag
    JOIN item ON item.id = tag.item GROUP BY word ORDER BY word;
SELECT group_concat(name, '') FROM (SELECT DISTINCT name FROM item ORDER BY note, name LIMIT 5000);
SELECT count(*) FROM item a JOIN item b ON b.name = 'item-' || a.size WHERE a.id % 5 = 0;
