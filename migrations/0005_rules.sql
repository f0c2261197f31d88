-- Version 5: how the events of a run's rows are added up is fixed as the run begins.

-- `first` in runs that were begun by an earlier version: an intent forgets the look before it even if it is never sent.
ALTER TABLE run ADD COLUMN rules TEXT NOT NULL DEFAULT 'first';
