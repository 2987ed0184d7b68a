"""The words that the API, the workers and the documents share.

Plain pydantic, no heavy imports, nothing else of ours. In reading order: `status` (what a job can be), `recipes` and
`objective` (what a user asks for), `inspection` (what a worker found in an upload), `result` (what came out), `problem`
and `codes` (what went wrong).
"""
