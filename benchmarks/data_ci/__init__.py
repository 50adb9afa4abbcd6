"""Does curation help? Deduplication, the quality filter and decontamination judged by matched proxies, on real text."""
