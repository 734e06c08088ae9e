"""Several trainings side by side: compare, ledger, tuning, statistics, ranking and the report."""
