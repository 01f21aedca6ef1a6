"""What `use` is held against: programs that look a session up by its cookie and renew it, one process each.

`make bench` installs them, pinned, into `.venv-bench/`; on a machine without npm those on Node are left out.
Each has a database of its own in the store, makes its sessions through its own API, and is looked at before
it is measured: the session must have been found, and its time in the store renewed.
"""
