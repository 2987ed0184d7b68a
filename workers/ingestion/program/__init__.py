"""Programs of torch.export (`.pt2`): screened, taken apart, put together anew from what was understood, then exported.

`torch.export.load` runs what it is given: pickles, expressions that sympy evaluates, libraries that are loaded. So it
never sees an uploaded file. It sees one that is written here, of raw weights and of a graph whose every operator,
expression and tree is on a list; and it does so in the job's sandbox, where what this misses reaches nothing.
"""
