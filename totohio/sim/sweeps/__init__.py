"""One test in many worlds: seeds, shrinking, reports."""
