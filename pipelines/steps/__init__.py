"""The steps of the flow, one file each, thin over the libraries below."""
