"""The tests of totohio; the folders mirror those of the package."""
