"""Takes in what strangers upload: opens it without believing it, and writes a canonical model and rows of samples."""
