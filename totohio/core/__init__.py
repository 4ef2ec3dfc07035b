"""The rules: what a method is, who may call it, how calls wait. No input or output."""
