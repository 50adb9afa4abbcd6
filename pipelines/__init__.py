"""The service: sources, extraction, steps, engines, runs, ledger, mixtures, reports and the command line."""
