"""Take-downs: a document, address, domain or licence removed from a run, and kept from coming back."""
