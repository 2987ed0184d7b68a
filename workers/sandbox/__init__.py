"""What stands around a process that opens an uploaded file. Nothing of ours, and nothing heavy, is imported here.

`levels` names the ways to do it, from the strongest down. `enclosure` wraps a command in one of them: `bubblewrap`
hands it to `bwrap`; `launch` is a small program of ours that gives up rights (`namespaces`, `landlock`, `privileges`)
and becomes the command. All use the one filter of `system_calls`. No level is believed by its name: `proof` runs
`canaries` inside it, a program that tries what must not work. `doctor` shows what came of it.
"""
