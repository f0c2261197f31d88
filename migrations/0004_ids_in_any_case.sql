-- Ids are found without case: the service may spell one otherwise than the plan does. Not unique, because an older journal
-- may hold two spellings of one id; a plan that has an id twice is refused before it comes here.
DROP INDEX row_source;
CREATE INDEX row_source ON row (run, source_id COLLATE NOCASE);
