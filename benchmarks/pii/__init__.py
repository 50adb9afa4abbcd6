"""Personal data found, by kind, beside Presidio and datatrove: precision, recall and speed in one run."""
