-- Lineage asks which job a run belongs to.
CREATE INDEX job_of_run ON job (run) WHERE run IS NOT NULL;
