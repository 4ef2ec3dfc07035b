"""The methods of the ledger."""
