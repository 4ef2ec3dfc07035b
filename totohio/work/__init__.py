"""Background work: task queues over worker threads."""
