-- What asyncio complains of, grouped by check and line. Agents tell it as marks of this target.

-- These marks, without all others of their process.
CREATE INDEX mark_by_check ON mark (process, at) WHERE target = 'asyncio' AND level >= 4;

DROP VIEW findings;
CREATE VIEW findings AS
SELECT m.process, json_extract(m.fields, '$.check') AS rule, l.file || ':' || l.line AS subject,
       min(m.at) AS first_seen_at, max(m.at) AS last_seen_at, NULL AS harm_time,
       count(*) AS occurrences, max(m.message) AS title
FROM mark m INDEXED BY mark_by_check
LEFT JOIN location l ON l.process = m.process AND l.location = m.location
WHERE m.target = 'asyncio' AND m.level >= 4 AND json_extract(m.fields, '$.check') <> ''
GROUP BY m.process, rule, subject;
