"""The progress of jobs that other processes do, on the bar of the study."""

from __future__ import annotations

from ...core.progress import advance_collected
from ...core.terminal import tell
from .workplace import Report


class RelayedProgress:
    """The part of the study's bar that comes from other processes.

    What a process had done when it was lost is taken back, as far as the next one does not begin with it.
    """

    def __init__(self) -> None:
        self.reports: dict[int, Report] = {}

    def note(self, job: int, report: Report) -> None:
        """Show the progress of a job, and pass its messages on.

        Args:
            job: the number of the job.
            report: the newest report of the process that does the job.
        """
        before = self.reports.get(job, Report())
        skipped = max(report.skipped - before.skipped, 0.0) if before.done == before.skipped else 0.0
        advance_collected(skipped)
        advance_collected(report.done - before.done - skipped, skipped=False)
        self.reports[job] = report
        for line in report.messages.splitlines():
            tell(line)
