"""Entries for the scheduler that the user already has: cron, systemd or Kubernetes. Pomona brings none of its own."""
