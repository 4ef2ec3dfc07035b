"""What has happened, to be compared and to be looked at."""
