"""What an upload is: the facts, warnings and estimates that are shown before any job."""
