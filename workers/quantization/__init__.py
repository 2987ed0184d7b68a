"""The numerics: pure functions and small graph passes, readable as a textbook. They import nothing else of ours."""
