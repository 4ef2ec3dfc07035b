"""Raw requests, hostile or odd, with what is expected of a server that gets them."""
