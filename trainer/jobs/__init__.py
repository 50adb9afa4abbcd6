"""Commands that run as jobs: detached on this machine or on a Ray cluster, followed and cancelled."""
