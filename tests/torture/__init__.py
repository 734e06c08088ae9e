"""Torture: thousands of commands under kills, full disks and hostile files, with seeds that repeat each failure."""
