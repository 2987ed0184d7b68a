"""Files that leave: candidates as models on disk, and the report beside them."""
